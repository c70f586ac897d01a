// A card as elements. Whatever comes from a record becomes a text node or the source of an image, never markup.

const $ = (id) => document.getElementById(id);

function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

const ARROW = { high: "▲", low: "▼", rare: "◆", new: "◆" };

function row({ name, value, mark, usually }) {
  const cell = make("td", {}, make("span", { className: "value" }, value));
  if (mark) cell.append(make("span", { className: "mark" }, `${ARROW[mark]} ${mark}`), make("span", { className: "usually" }, `usually ${usually}`));
  return make("tr", { className: mark ? "unusual" : "" }, make("th", { scope: "row" }, name), cell);
}

const block = {
  table: ({ rows, folded }) => {
    const table = (lines) => make("table", {}, make("tbody", {}, ...lines.map(row)));
    const parts = rows.length ? [table(rows)] : [];
    const many = `${folded.length} ${rows.length ? "more " : ""}${folded.length === 1 ? "value" : "values"}`;
    if (folded.length) parts.push(make("details", { className: "more" }, make("summary", {}, many), table(folded)));
    return make("section", {}, ...parts);
  },
  text: ({ name, text }) => make("section", {}, ...(name ? [make("h3", {}, name)] : []), make("p", { className: "text", dir: "auto" }, text)),
  json: ({ name, text }) => make("section", {}, make("h3", {}, name), make("pre", { tabIndex: 0 }, text)),
  image: ({ source, alt }) => {
    const image = make("img", { src: source, alt, decoding: "async" });
    const figure = make("figure", {}, image);
    image.addEventListener("error", () => figure.replaceChildren(make("p", { className: "told" }, `The picture cannot be loaded: ${source.slice(0, 200)}`)));
    return figure;
  },
};

export function draw(card, show) {
  $("title").textContent = card.title;
  const before = show === "before" && card.model;
  $("model").hidden = !before;
  $("model").textContent = before ? `Before you answer: ${card.model.said}.` : "";
  $("group").hidden = !card.group;
  $("group").firstElementChild.textContent = card.group;
  $("only").setAttribute("aria-pressed", Boolean(card.only));
  $("blocks").replaceChildren(...card.blocks.map((content) => block[content.kind](content)));
  const why = $("why");
  why.open = false;
  why.querySelector("p").textContent = card.why;
  why.querySelector("dl").replaceChildren(...card.facts.map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value))));
}
