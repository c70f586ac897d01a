// The annotator's page. An answer is kept in this browser before anything else happens, under a key of its own;
// it is sent in the background, again and again until the server has said what became of it, and sending it twice
// does nothing twice. The next cards are here before they are needed.

import { kept, outbox } from "./outbox.js";
import { draw } from "./draw.js";

const $ = (id) => document.getElementById(id);
const { store, who, csrf, show } = document.body.dataset;
const AHEAD = 3, UNDO = 10, BEAT = 45_000, LOOK = 3_000;

const keep = kept(`stream-al ${store} ${who} `);
const box = outbox(keep);
let cards = []; // the first is before the annotator
let history = keep.get("history") ?? []; // what can be undone: {key, card, said}
let classes = [], closed = false, empty = null;
let shown = null, since = 0, typed = "";
let busy = false, again = false, failures = 0, timer = 0, ended = false, held = 0, away = false, deaf = 0;

// ── what the server has to do with it ────────────────────

function request(want) {
  const operations = box.all().slice(0, 100);
  return { operations, have: cards.filter((card) => !card.correcting).map((card) => card.id).slice(0, 10), want };
}

async function post(path, body, options = {}) {
  return fetch(path, {
    method: "POST", headers: { "Content-Type": "application/json", "X-CSRF-Token": csrf },
    body: JSON.stringify(body), ...options,
  });
}

async function sync() {
  if (busy) { again = true; return; }
  if (ended) return;
  busy = true; again = false;
  clearTimeout(timer);
  let wait = BEAT;
  try {
    const asked = request(1 + AHEAD);
    const answer = await post("/sync", asked, { signal: AbortSignal.timeout(15_000) });
    if (answer.status === 401 || answer.status === 403) end(answer.status);
    else if (answer.status === 400) refused(asked.operations, (await answer.json()).error);
    else if (!answer.ok) throw new Error(answer.status);
    else take(await answer.json());
    failures = 0;
    if (!cards.length || held) wait = LOOK;
    if (box.all().length) again = true;
  } catch { // the network or the server is gone: what was said is kept, and tried again
    failures++;
    wait = Math.min(500 * 2 ** failures, 15_000);
    again = false;
  }
  busy = false;
  count();
  if (again) sync();
  else timer = setTimeout(sync, wait);
}

function refused(operations, why) { // one of several may be what was wrong: alone it is known which
  if (operations.length > 1) { box.single = true; again = true; return; }
  for (const { key } of operations) box.drop(key);
  tell(`Not taken by the server: ${why}`, "bad");
}

function end(status) {
  ended = true;
  const unsent = box.answers().length;
  const saved = unsent ? ` Your ${unsent} unsent ${unsent === 1 ? "answer is" : "answers are"} kept in this browser until then.` : "";
  const link = Object.assign(document.createElement("a"), { href: "/", textContent: status === 401 ? "Log in again" : "Load the page again" });
  $("alarm").replaceChildren(status === 401 ? "Your session has ended. " : "This page is of an earlier session. ", link, `.${saved}`);
  $("alarm").hidden = false;
}

function take(reply) {
  for (const done of reply.done) {
    box.drop(done.key);
    const mine = cards.find((card) => card.undo === done.key);
    if (done.state === "learned" && mine) mine.correcting = true;
    if (done.said) tell(done.said, done.state === "refused" ? "bad" : "");
  }
  for (const [id, why] of Object.entries(reply.gone)) {
    const at = cards.findIndex((card) => card.id === id && !card.correcting);
    if (at === 0 && shown === cards[0]) {
      tell(`${cards[0].title} is put away: ${why}.`);
      deaf = performance.now() + 400;
      if (!matchMedia("(prefers-reduced-motion: reduce)").matches) $("card").animate({ translate: ["-3rem", "0"], opacity: [0, 1] }, 200);
    }
    if (at >= 0) cards.splice(at, 1);
  }
  const answered = new Set(box.answers().map((answer) => answer.event_id));
  for (const card of reply.cards)
    if (!answered.has(card.id) && !cards.some((known) => known.id === card.id)) cards.push(card);
  for (const card of cards.slice(1, 1 + AHEAD))
    for (const block of card.blocks) if (block.kind === "image") new Image().src = block.source;
  empty = reply.empty;
  held = reply.undelivered;
  away = reply.away;
  closed = reply.closed;
  $("open").textContent = `${reply.open.toLocaleString("en")} open`;
  if (JSON.stringify(classes) !== JSON.stringify(reply.classes)) { classes = reply.classes; buttons(); }
  look();
}

// ── what is shown ────────────────────────────────────────

function look() {
  const card = cards[0] ?? null;
  $("card").hidden = !card;
  $("empty").hidden = Boolean(card) || !empty;
  for (const id of ["unsure", "none", "pass", "note"]) $(id).disabled = !card;
  for (const button of $("classes").children) button.disabled = !card;
  $("note").classList.toggle("has", Boolean(card?.note));
  if (card) {
    if (card !== shown) {
      draw(card, show);
      since = performance.now();
      focusOn("title");
    }
  } else if (empty) {
    const list = $("empty").querySelector("ul");
    if (list.textContent !== empty.join("")) list.replaceChildren(...empty.map((line) => Object.assign(document.createElement("li"), { textContent: line })));
    if (shown) focusOn("empty-title");
  }
  shown = card;
  document.body.classList.toggle("correcting", Boolean(card?.correcting));
  count();
}

function focusOn(id) { // a screen reader reads on from here; whoever is typing is left alone
  const at = document.activeElement;
  if (!document.querySelector("dialog[open]") && at !== $("search")) $(id).focus({ preventScroll: true });
  scrollTo(0, 0);
}

function count() {
  const unsent = box.answers().length + (away ? held : 0), wrong = failures || (away && held);
  $("unsent").textContent = unsent && (wrong || unsent > 1) ? `${unsent} unsent` : "";
  $("unsent").classList.toggle("bad", Boolean(wrong));
  $("undo").disabled = !history.length;
}

function tell(text, tone = "") {
  $("notice").textContent = text;
  $("notice").className = tone;
}

function buttons() {
  $("classes").replaceChildren(...classes.map(({ label, text, code }) => {
    const button = document.createElement("button"), key = document.createElement("kbd"), name = document.createElement("span");
    key.textContent = code;
    name.textContent = text;
    button.type = "button";
    button.append(key, name);
    if (code.length === 1) button.setAttribute("aria-keyshortcuts", code);
    button.addEventListener("click", () => answer({ label }, text));
    return button;
  }));
  $("find").hidden = classes.length < 10;
  $("classes").classList.toggle("many", classes.length >= 10);
  $("classes").dataset.count = classes.length;
  if (!classes.length) tell("No class is known yet: press n and name the first one.");
  filter();
}

function filter() {
  const wanted = $("search").value.trim().toLowerCase();
  [...$("classes").children].forEach((button, at) => {
    const code = classes[at].code;
    button.hidden = Boolean(wanted) && !classes[at].text.toLowerCase().includes(wanted);
    button.classList.toggle("off", Boolean(typed) && !code.startsWith(typed));
  });
}

// ── answering ────────────────────────────────────────────

function answer(what, said) {
  const card = cards[0];
  if (!card) return;
  const key = crypto.randomUUID?.() ?? [...crypto.getRandomValues(new Uint8Array(16))].map((b) => b.toString(16).padStart(2, "0")).join("");
  box.put({
    op: "answer", key, event_id: card.id, ...what, ...(card.note ? { note: card.note } : {}), ...(card.only ? { only_this: true } : {}),
    saw_prediction: show === "before" || Boolean(card.saw),
    seconds: (performance.now() - since) / 1000, at: new Date().toISOString(),
  });
  let told = `${"label" in what || "new_class" in what ? "✓" : "–"} ${said} · ${card.title}`;
  if (show === "after" && card.model) {
    told += ` — ${what.label !== undefined && what.label === card.model.label ? card.model.same : card.model.said}`;
    card.saw = true;
  }
  const { undo, correcting, ...again } = card;
  history = [...history, { key, card: again, said }].slice(-UNDO);
  keep.set("history", history);
  cards.shift();
  typed = $("search").value = "";
  filter();
  tell(told, "good");
  look();
  sync();
}

function undo() {
  const last = history.pop();
  if (!last) { tell("Nothing to undo."); return; }
  keep.set("history", history);
  const key = `undo-${last.key}`.slice(0, 64);
  box.put({ op: "undo", key, answer: last.key });
  cards = [{ ...last.card, undo: key }, ...cards.filter((card) => card.id !== last.card.id)];
  tell(`↶ taken back: ${last.said}`);
  look();
  sync();
}

function digit(pressed) {
  typed += pressed;
  const found = classes.find(({ code }) => code === typed || (pressed === "" && code === typed.padStart(code.length, "0")));
  if (found) { answer({ label: found.label }, found.text); return; }
  if (!pressed || !classes.some(({ code }) => code.startsWith(typed))) {
    tell(classes.length ? `No class has the number ${typed}.` : "No class is known yet: press n and name the first one.");
    typed = "";
  }
  filter();
}

// ── dialogs ──────────────────────────────────────────────

let asked = null; // what an open dialog is for

function ask(dialog, field, then) {
  asked = { dialog: $(dialog), input: field ? $(field) : null, then };
  asked.dialog.showModal();
  asked.input?.focus();
}

function close(value) { // at once, not at the event of closing: the next key may come before that
  const { dialog, input, then } = asked;
  dialog.close();
  then?.(value, input?.value.trim() ?? "");
}

const asking = {
  unsure: () => {
    $("unsure-why").value = "";
    ask("ask-unsure", "", (reason) => answer({ abstain: "unsure", why: reason || $("unsure-why").value.trim() }, "unsure"));
  },
  none: () => {
    $("none-name").value = "";
    $("none-told").textContent = closed
      ? "The configuration allows no other class: your answer is kept as “unsure”, with this name as a proposal."
      : "With a name your answer is this new class, and everybody gets a button for it; without, it is kept as “unsure”.";
    ask("ask-none", "none-name", (_, name) => {
      const known = classes.find(({ text }) => text.toLowerCase() === name.toLowerCase());
      if (known) answer({ label: known.label }, known.text);
      else if (name) answer({ new_class: name }, closed ? `unsure, proposed ${name}` : name);
      else answer({ abstain: "unsure", why: "none of these classes" }, "none of these");
    });
  },
  note: () => {
    const card = cards[0];
    $("note-text").value = card.note ?? "";
    ask("ask-note", "note-text", (_, text) => { card.note = text; look(); });
  },
  guideline: () => ask("show-guideline", ""),
  keys: () => ask("show-keys", ""),
  only: () => {
    const card = cards[0];
    if (!card?.group) return;
    card.only = !card.only;
    $("only").setAttribute("aria-pressed", card.only);
  },
  pass: () => answer({ abstain: "skip" }, "passed on"),
  undo,
};

for (const [id, act] of Object.entries(asking)) $(id).addEventListener("click", act);
for (const form of document.querySelectorAll("dialog form")) form.addEventListener("submit", (event) => { event.preventDefault(); close(""); });
for (const button of document.querySelectorAll("dialog .cancel")) button.addEventListener("click", () => asked.dialog.close());
for (const button of document.querySelectorAll(".reasons button")) button.addEventListener("click", () => close(button.value));
$("logout")?.addEventListener("click", async () => {
  await post("/sync", { ...request(0), have: [], leave: true }).catch(() => {});
  await post("/logout", {}).catch(() => {});
  location.assign("/login");
});
$("ask-unsure").addEventListener("keydown", (event) => {
  const button = event.target.tagName !== "INPUT" && $("ask-unsure").querySelectorAll(".reasons button")[event.key - 1];
  if (button) { event.preventDefault(); button.click(); }
});
$("note-text").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) close("");
});

// ── keys ─────────────────────────────────────────────────

const KEYS = { u: "unsure", n: "none", s: "pass", o: "only", c: "note", z: "undo", h: "guideline", "?": "keys" };
$("keys-on").checked = keep.get("keys") ?? true;
$("keys-on").addEventListener("change", () => keep.set("keys", $("keys-on").checked));

document.addEventListener("keydown", (event) => {
  if (event.repeat || performance.now() < deaf || event.target.closest?.("dialog") || document.querySelector("dialog[open]")) return;
  if ((event.ctrlKey || event.metaKey) && event.key === "z" && !event.target.matches("input")) { event.preventDefault(); undo(); return; }
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, textarea") || !$("keys-on").checked) return;
  if (KEYS[event.key]) { event.preventDefault(); $(KEYS[event.key]).click(); }
  else if (/^[0-9]$/.test(event.key) && cards.length) { event.preventDefault(); digit(event.key); }
  else if (event.key === "Enter" && typed) { event.preventDefault(); digit(""); }
  else if (event.key === "Escape" || event.key === "Backspace") { typed = event.key === "Escape" ? "" : typed.slice(0, -1); filter(); }
  else if (event.key === "w" && cards.length) $("why").open = !$("why").open;
  else if (event.key === "/" && !$("find").hidden) { event.preventDefault(); $("search").focus(); }
});
$("search").addEventListener("input", filter);
$("search").addEventListener("keydown", (event) => {
  if (event.key === "Escape") { $("search").value = ""; $("search").blur(); filter(); }
  if (event.key === "Enter" && $("search").value.trim()) {
    const first = [...$("classes").children].find((button) => !button.hidden && !button.disabled);
    if (first) { $("search").blur(); first.click(); }
  }
});

addEventListener("online", () => { failures = 0; sync(); });
addEventListener("pageshow", (event) => { if (event.persisted) sync(); });
addEventListener("pagehide", () => { // what is unsent goes along; what does not arrive is sent by the next page
  if (!ended) post("/sync", { ...request(0), have: [], leave: true }, { keepalive: true }).catch(() => {});
});
addEventListener("beforeunload", (event) => { if (!keep.durable && box.answers().length) event.preventDefault(); });
sync();
