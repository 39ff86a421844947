// Reads a stream of server-sent events with fetch, so that the caller key travels in a header. EventSource cannot do
// that, and would show the key in an address.

// Yields { event, data } as they arrive. Ends with the stream.
export async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let unread = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    unread += value;
    const blocks = unread.split("\n\n");
    unread = blocks.pop();
    for (const block of blocks) {
      const fields = block.split("\n").map((line) => line.split(/: ?(.*)/s, 2));
      const field = (name) => fields.find(([given]) => given === name)?.[1];
      const event = field("event");
      if (event !== undefined) yield { event, data: field("data") };
    }
  }
}
