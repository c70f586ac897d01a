// The learning curve: accuracy of each piece of the stream with its band, marks where the stream changed, a table of the same.

const percent = (part) => `${(100 * part).toFixed(1)} %`;
const whole = (number) => Math.round(number).toLocaleString("en");
const WIDE = 640, HIGH = 220, LEFT = 44, FOOT = 24, TOP = 10;

function svg(tag, attributes, text = "") {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.textContent = text;
  return element;
}

function scale(points) {
  const tenth = 0.1, known = points.flatMap((point) => [point.accuracy - 0.02, Math.max(point.low, point.accuracy - 0.15), Math.min(point.high, point.accuracy + 0.15)]);
  const low = Math.max(0, Math.floor(Math.min(...known) / tenth) * tenth), high = Math.min(1, Math.ceil(Math.max(...known) / tenth) * tenth);
  return [low, Math.max(high, low + tenth)];
}

export function drawCurve(found, alarms) {
  const points = found.filter((point) => point.accuracy !== null);
  if (points.length < 2) return null;
  const [low, high] = scale(points), first = points[0].events, last = points.at(-1).events;
  const x = (events) => LEFT + ((WIDE - LEFT - 8) * (events - first)) / (last - first);
  const y = (share) => TOP + ((HIGH - TOP - FOOT) * (high - Math.min(high, Math.max(low, share)))) / (high - low);
  const marks = alarms.filter((alarm) => alarm.event >= first && alarm.event <= last);
  const told = `Estimated accuracy from ${percent(points[0].accuracy)} after ${whole(first)} events to ${percent(points.at(-1).accuracy)} after ${whole(last)}`;
  const chart = svg("svg", { viewBox: `0 0 ${WIDE} ${HIGH}`, role: "img", "aria-label": marks.length ? `${told}; ${marks.length} drift alarms` : told });
  for (let share = low; share <= high + 1e-9; share += (high - low) / 4) {
    chart.append(svg("line", { class: "grid", x1: LEFT, x2: WIDE - 8, y1: y(share), y2: y(share) }));
    chart.append(svg("text", { x: LEFT - 6, y: y(share) + 4, "text-anchor": "end" }, `${(100 * share).toFixed(high - low < 0.3 ? 1 : 0)} %`));
  }
  const edge = [...points.map((point) => [x(point.events), y(point.high)]), ...points.toReversed().map((point) => [x(point.events), y(point.low)])];
  chart.append(svg("polygon", { class: "band", points: edge.join(" ") }));
  for (const alarm of marks) {
    const line = svg("line", { class: "drift", x1: x(alarm.event), x2: x(alarm.event), y1: TOP, y2: HIGH - FOOT });
    line.append(svg("title", {}, alarm.text));
    chart.append(line);
  }
  chart.append(svg("polyline", { class: "curve", points: points.map((point) => [x(point.events), y(point.accuracy)]).join(" ") }));
  chart.append(svg("text", { x: LEFT, y: HIGH - 6 }, `${whole(first)} events, ${whole(points[0].labels)} labels`));
  chart.append(svg("text", { x: WIDE - 8, y: HIGH - 6, "text-anchor": "end" }, `${whole(last)} events, ${whole(points.at(-1).labels)} labels`));
  return [chart, points, marks];
}
