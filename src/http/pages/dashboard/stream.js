// Reads server-sent events with fetch, so that the caller key is sent in a header. EventSource cannot set headers: the
// key would have to be in the URL.

// Yields each event as { event, data } when it arrives, until the stream ends.
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
