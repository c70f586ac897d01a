// The dashboard: numbers from the server, as text, one bar chart and one curve.

import { drawCurve } from "./curve.js";

const $ = (id) => document.getElementById(id);

function make(tag, text = "", properties = {}) {
  return Object.assign(document.createElement(tag), { textContent: text, ...properties });
}

const whole = (number) => Math.round(number).toLocaleString("en");
const share = (part) => `${(100 * part).toFixed(1)} %`;

function tiles(id, pairs) {
  $(id).replaceChildren(...pairs.map(([name, value, more]) => {
    const tile = document.createElement("div");
    tile.append(make("dt", name), make("dd", value));
    if (more) tile.append(make("dd", more, { className: "quiet" }));
    return tile;
  }));
}

function accuracy(found) {
  if (!found) return ["Accuracy", "not watched"];
  if (found.why_not) return ["Accuracy", "unknown", found.why_not];
  return ["Accuracy, estimated", share(found.accuracy), `95 %: ${share(found.low)} to ${share(found.high)}, from ${whole(found.labels)} labels`];
}

function svg(tag, attributes) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

function hours(counts) {
  const most = Math.max(...counts), width = 100 / counts.length;
  const told = counts.map((count, at) => `${counts.length - 1 - at ? `${counts.length - 1 - at} h ago` : "this hour"}: ${count}`).join(", ");
  const chart = svg("svg", { viewBox: "0 0 100 26", preserveAspectRatio: "none", role: "img", "aria-label": `Answers an hour: ${told}` });
  counts.forEach((count, at) => {
    const height = count ? Math.max(1, (24 * count) / most) : 0.3;
    chart.append(svg("rect", { x: at * width + width * 0.1, y: 25 - height, width: width * 0.8, height }));
  });
  const axis = make("p", "", { className: "axis quiet", ariaHidden: "true" });
  axis.append(make("span", `${counts.length - 1} h ago`), make("span", most ? `at most ${whole(most)} an hour` : "none yet"), make("span", "this hour"));
  $("hours").replaceChildren(chart, axis);
}

function curve(found, alarms) {
  const drawn = drawCurve(found, alarms);
  $("curve-section").hidden = !drawn;
  if (!drawn) return;
  const [chart, points, marks] = drawn;
  $("curve").replaceChildren(chart);
  $("curve-rows").replaceChildren(...points.map((point) => {
    const row = document.createElement("tr");
    row.append(
      make("th", whole(point.events), { scope: "row" }), make("td", whole(point.labels)),
      make("td", share(point.accuracy)), make("td", `${share(point.low)} to ${share(point.high)}`),
    );
    return row;
  }));
  $("drift").replaceChildren(...marks.map((alarm) => make("li", alarm.text)));
}

function agreement(found) {
  return [
    make("td", found.with_others === null ? "—" : `${share(found.with_others)} of ${whole(found.pairs)}`),
    make("td", found.with_model === null ? "—" : share(found.with_model)),
  ];
}

function show(found) {
  const status = (name) => found.statuses[name] ?? 0;
  const others = ["disputed", "unanswerable", "withdrawn", "checked"].filter(status).map((name) => `${whole(status(name))} ${name}`).join(", ");
  tiles("queries", [
    ["Open", whole(status("open")), found.drafts ? `${whole(found.drafts)} answered, not sent yet` : ""],
    ["Answered", whole(status("answered")), others],
    ["Expired", whole(status("expired"))],
    ["Median wait", found.waiting === null ? "—" : whole(found.waiting), found.waiting_in],
    ["At work now", whole(found.at_work.length), found.at_work.slice(0, 8).join(", ")],
  ]);
  tiles("model-tiles", [
    ["Events answered", whole(found.events)],
    ["Examples learned", whole(found.learned)],
    accuracy(found.accuracy?.whole),
  ]);
  const recent = found.accuracy?.recent;
  $("model-told").textContent = recent && !recent.why_not && recent.events < found.events
    ? `Of the last ${whole(recent.events)} events: ${share(recent.accuracy)} (95 %: ${share(recent.low)} to ${share(recent.high)}).` : "";
  curve(found.accuracy?.curve ?? [], found.alarms);
  hours(found.hours);
  $("people").replaceChildren(...found.people.map((person) => {
    const row = document.createElement("tr");
    row.append(
      make("th", person.name, { scope: "row" }), make("td", whole(person.answers)), make("td", whole(person.abstained)),
      ...agreement(person),
      make("td", person.reliability === null ? "—" : `${share(person.reliability)}${person.distrusted ? " · distrusted" : ""}`),
      make("td", person.seconds === null ? "—" : person.seconds.toFixed(1)),
    );
    return row;
  }));
  const classes = found.people.flatMap((person) => person.classes.map((one) => [person.name, one])).slice(0, 400);
  $("by-class").hidden = !classes.length;
  $("classes").replaceChildren(...classes.map(([name, one]) => {
    const row = document.createElement("tr");
    row.append(make("th", name, { scope: "row" }), make("td", one.label), make("td", whole(one.answers)), ...agreement(one));
    return row;
  }));
  if (!found.people.length) {
    const row = document.createElement("tr");
    row.append(make("td", "The worker has read no label yet.", { colSpan: 7 }));
    $("people").append(row);
  }
}

const source = new EventSource("/dashboard/live");
source.onopen = () => { $("live").textContent = "live"; };
source.onmessage = (event) => show(JSON.parse(event.data));
source.onerror = () => { $("live").textContent = source.readyState === EventSource.CLOSED ? "ended: load the page again" : "the server is not heard; trying again"; };
