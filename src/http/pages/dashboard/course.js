// The course of a balance since the page was opened, as a small line chart.

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 96;
const HEIGHT = 24;
// Enough points for a line of this width. Beyond them, the oldest point after the first one is removed.
const MOST_POINTS = 48;

// Adds a value; `at` is a time in milliseconds.
export function add(course, value, at) {
  course.push({ value, at });
  if (course.length > MOST_POINTS) course.splice(1, 1);
}

// Draws the course until now, as steps: each value is valid until the next one.
export function draw(course, now, label) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", `-2 -2 ${WIDTH + 4} ${HEIGHT + 4}`);
  svg.setAttribute("class", "course");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", label);
  const line = document.createElementNS(SVG, "polyline");
  line.setAttribute("points", points(course, now));
  svg.append(line);
  return svg;
}

function points(course, now) {
  const values = course.map(({ value }) => value);
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const [first, span] = [course[0].at, Math.max(1, now - course[0].at)];
  const x = (at) => (((at - first) / span) * WIDTH).toFixed(1);
  const y = (value) => (high === low ? HEIGHT / 2 : ((high - value) / (high - low)) * HEIGHT).toFixed(1);
  const steps = course.flatMap(({ value, at }, index) => {
    const until = course[index + 1]?.at ?? now;
    return [`${x(at)},${y(value)}`, `${x(until)},${y(value)}`];
  });
  return steps.join(" ");
}
