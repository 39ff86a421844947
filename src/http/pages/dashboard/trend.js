// The trend of a balance since the page was opened, as a small line chart.

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 96;
const HEIGHT = 24;
// Enough points for a line of this width. Beyond them, the oldest point after the first one is removed.
const MOST_POINTS = 48;

// Adds a value; `at` is a time in milliseconds.
export function add(trend, value, at) {
  trend.push({ value, at });
  if (trend.length > MOST_POINTS) trend.splice(1, 1);
}

// Draws the trend until now, as steps: each value is valid until the next one.
export function draw(trend, now, label) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", `-2 -2 ${WIDTH + 4} ${HEIGHT + 4}`);
  svg.setAttribute("class", "trend");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", label);
  const line = document.createElementNS(SVG, "polyline");
  line.setAttribute("points", points(trend, now));
  svg.append(line);
  return svg;
}

function points(trend, now) {
  const values = trend.map(({ value }) => value);
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const [first, span] = [trend[0].at, Math.max(1, now - trend[0].at)];
  const x = (at) => (((at - first) / span) * WIDTH).toFixed(1);
  const y = (value) => (high === low ? HEIGHT / 2 : ((high - value) / (high - low)) * HEIGHT).toFixed(1);
  const steps = trend.flatMap(({ value, at }, index) => {
    const until = trend[index + 1]?.at ?? now;
    return [`${x(at)},${y(value)}`, `${x(until)},${y(value)}`];
  });
  return steps.join(" ");
}
