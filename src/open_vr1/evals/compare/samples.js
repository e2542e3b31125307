"use strict";
// Everything from a model or a file goes into the page as text (`textContent`), never as markup.

const PAGE = 20;
const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const two = data.models.length > 1;
const state = { found: [], page: 0 };

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
  return made;
}

const words = (name) => String(name).replaceAll("_", " ");
const mean = (model) => (model ? model.scores.reduce((sum, score) => sum + score, 0) / model.scores.length : null);
const number = (value) => value.toLocaleString("en");

// ----- Filters

const RESULTS = two
  ? {
      differ: ["where they differ", (a, b) => a !== null && b !== null && a !== b],
      left: ["only the left is right, or more often", (a, b) => a !== null && b !== null && a > b],
      right: ["only the right is right, or more often", (a, b) => a !== null && b !== null && a < b],
      both: ["both right", (a, b) => a === 1 && b === 1],
      neither: ["both wrong", (a, b) => a === 0 && b === 0],
      alone: ["asked of one only", (a, b) => (a === null) !== (b === null)],
      all: ["all", () => true],
    }
  : {
      all: ["all", () => true],
      wrong: ["wrong", (a) => a === 0],
      right: ["right", (a) => a === 1],
      partly: ["right some of the times", (a) => a > 0 && a < 1],
    };

function option(value, text) {
  return element("option", { value }, text);
}

function fill(select, options) {
  const before = select.value;
  select.replaceChildren(...options);
  select.value = before;
  if (select.selectedIndex < 0) select.selectedIndex = 0;
}

function shownModels() {
  return two ? [Number(byId("left").value), Number(byId("right").value)] : [0];
}

function inBenchmark(question) {
  const wanted = byId("benchmark").value;
  return wanted === "" || question.benchmark === Number(wanted);
}

function fillGroups() {
  const kinds = new Map();
  for (const question of data.questions.filter(inBenchmark)) {
    for (const [kind, names] of Object.entries(question.groups)) {
      if (!kinds.has(kind)) kinds.set(kind, new Map());
      for (const name of names) kinds.get(kind).set(name, (kinds.get(kind).get(name) || 0) + 1);
    }
  }
  const options = [option("", "all groups")];
  for (const [kind, names] of [...kinds].sort()) {
    const group = element("optgroup", { label: words(kind) });
    for (const [name, count] of [...names].sort()) {
      group.append(option(JSON.stringify([kind, name]), `${words(name)} (${number(count)})`));
    }
    options.push(group);
  }
  fill(byId("group"), options);
}

function fillReasons() {
  const reasons = new Map();
  for (const question of data.questions.filter(inBenchmark)) {
    for (const reason of reasonsOf(question, question.models.keys())) reasons.set(reason, (reasons.get(reason) || 0) + 1);
  }
  const options = [...reasons].sort().map(([reason, count]) => option(reason, `${words(reason)} (${number(count)})`));
  fill(byId("reason"), [option("", "any reason"), ...options]);
}

function reasonsOf(question, models) {
  const found = new Set();
  for (const model of models) {
    for (const answer of question.models[model]?.answers ?? []) found.add(answer.reason ?? "no reason");
  }
  return found;
}

function textOf(question) {
  if (question.text === undefined) {
    const parts = [question.id, question.question, question.gold, ...question.choices];
    for (const model of question.models) {
      for (const answer of model?.answers ?? []) parts.push(answer.answer, answer.block, answer.thinking, answer.rest);
    }
    question.text = parts.filter(Boolean).join("\n").toLowerCase();
  }
  return question.text;
}

function find() {
  const models = shownModels();
  const test = RESULTS[byId("result").value][1];
  const group = byId("group").value ? JSON.parse(byId("group").value) : null;
  const reason = byId("reason").value;
  const sought = byId("search").value.trim().toLowerCase();
  state.found = data.questions.filter(
    (question) =>
      inBenchmark(question) &&
      models.some((model) => question.models[model]) &&
      test(...models.map((model) => mean(question.models[model]))) &&
      (!group || (question.groups[group[0]] ?? []).includes(group[1])) &&
      (!reason || reasonsOf(question, models).has(reason)) &&
      (!sought || textOf(question).includes(sought)),
  );
  turnTo(0);
}

// ----- What is shown

function turnTo(page) {
  const pages = Math.max(1, Math.ceil(state.found.length / PAGE));
  state.page = Math.min(Math.max(0, page), pages - 1);
  const from = state.page * PAGE;
  const here = state.found.slice(from, from + PAGE);
  const models = shownModels();
  byId("cards").replaceChildren(...here.map((question) => card(question, models)));
  const range = here.length ? `${number(from + 1)} to ${number(from + here.length)} of ` : "";
  byId("count").textContent = `${range}${number(state.found.length)} question${state.found.length === 1 ? "" : "s"}`;
  for (const [name, gone] of [["before", state.page === 0], ["after", state.page === pages - 1]]) {
    for (const button of document.querySelectorAll(`button.${name}`)) button.disabled = gone;
  }
  for (const place of document.querySelectorAll(".page")) place.textContent = `${number(state.page + 1)} / ${number(pages)}`;
}

function card(question, models) {
  const groups = Object.entries(question.groups).map(([kind, names]) => `${words(kind)}: ${names.map(words).join(", ")}`);
  const label = [data.benchmarks[question.benchmark], question.id].join(", ");
  return element(
    "article",
    { class: "sample", tabindex: "0", "aria-label": label },
    element("figure", {}, ...pictures(question), element("figcaption", {}, [label, ...groups].join(" · "))),
    element(
      "div",
      {},
      element("p", { class: "question" }, question.question || "(the question is in the picture)"),
      question.choices.length ? choices(question) : null,
      element("p", { class: "truth" }, "Right answer: ", element("b", {}, question.gold)),
      element("div", { class: "readings" }, ...models.map((model) => reading(question.models[model], data.models[model]))),
    ),
  );
}

function choices(question) {
  return element("ol", { class: "choices", type: "A" }, ...question.choices.map((choice) => element("li", {}, choice)));
}

function pictures(question) {
  const shown = question.pictures.map((picture, index) =>
    element("img", {
      src: picture.url,
      alt: `Picture ${index + 1} of the question`,
      class: picture.pixelated ? "pixelated" : null,
      loading: "lazy",
    }),
  );
  if (question.missing) {
    const count = question.missing === 1 ? "A picture is" : `${question.missing} pictures are`;
    shown.push(element("div", { class: "missing" }, `${count} not in this page: ${question.where}`));
  }
  return shown.length ? shown : [element("div", { class: "missing" }, "no picture")];
}

function reading(model, name) {
  const box = element("section", { class: "reading", style: null });
  box.style.setProperty("--colour", `var(--${name.colour})`);
  const right = model ? model.scores.filter((score) => score === 1).length : 0;
  const often = model && model.scores.length > 1 ? `right ${right} of ${model.scores.length} times` : "";
  box.append(element("h4", {}, element("b", {}, name.name), element("span", {}, model ? often : "not asked")));
  for (const answer of model?.answers ?? []) box.append(...given(answer));
  if (model && model.scores.length > model.answers.length) {
    box.append(element("p", { class: "muted" }, `${model.scores.length - model.answers.length} more in samples/`));
  }
  return box;
}

function given(answer) {
  const right = answer.score === 1;
  const verdict = right ? "✓ right:" : answer.score > 0 ? `${Math.round(100 * answer.score)}% right:` : "✗ wrong:";
  const said = answer.answer ?? answer.block;
  const facts = [`${number(answer.tokens ?? 0)} tokens`, answer.clipped ? "cut off at the limit" : ""];
  const parts = [
    element("div", { class: `given ${right ? "yes" : "no"}` },
      `${verdict} `,
      element("b", {}, said ?? "no answer"),
      answer.answer === undefined && said ? element("small", {}, "could not be read as an answer") : null,
      right || answer.reason === "wrong" ? null : element("small", {}, words(answer.reason ?? "")),
      answer.rest ? element("small", {}, `and after the answer: ${answer.rest}`) : null,
      answer.judge ? element("small", {}, `the judge: ${answer.judge}`) : null,
    ),
  ];
  const summary = element("summary", {}, ["Thinking", ...facts].filter(Boolean).join(", "));
  const text = element("p", { class: "thinking" }, answer.thinking ?? "(nothing)");
  parts.push(element("details", {}, summary, text));
  return parts;
}

// ----- Keys

function move(by) {
  const cards = [...document.querySelectorAll("#cards > .sample")];
  const here = cards.findIndex((one) => one.contains(document.activeElement));
  const next = cards[Math.min(Math.max(0, here + by), cards.length - 1)];
  if (next) {
    next.focus({ preventScroll: true });
    next.scrollIntoView({ block: "nearest" });
  }
}

function fold() {
  const card = document.activeElement?.closest?.(".sample");
  const all = card ? [...card.querySelectorAll("details")] : [];
  const open = all.some((one) => !one.open);
  for (const one of all) one.open = open;
}

function toTop(page) {
  turnTo(page);
  byId("samples").scrollIntoView();
}

const KEYS = {
  j: () => move(1),
  k: () => move(-1),
  o: fold,
  n: () => toTop(state.page + 1),
  p: () => toTop(state.page - 1),
  "/": () => byId("search").focus(),
};

document.addEventListener("keydown", (event) => {
  const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName);
  if (event.key === "Escape" && typing) return event.target.blur();
  if (typing || event.ctrlKey || event.metaKey || event.altKey || !KEYS[event.key]) return undefined;
  event.preventDefault();
  return KEYS[event.key]();
});

// ----- Beginning

const benchmarkOptions = data.benchmarks.map((title, index) => {
  const count = data.questions.filter((question) => question.benchmark === index).length;
  return option(index, `${title} (${number(count)})`);
});
fill(byId("benchmark"), [...(data.benchmarks.length > 1 ? [option("", "all benchmarks")] : []), ...benchmarkOptions]);
fill(byId("result"), Object.entries(RESULTS).map(([value, [text]]) => option(value, text)));
if (two) {
  for (const side of ["left", "right"]) fill(byId(side), data.models.map((model, index) => option(index, model.name)));
  byId("right").value = String(data.models.length - 1);
}
fillGroups();
fillReasons();
for (const name of ["left", "right", "result", "group", "reason"]) byId(name)?.addEventListener("change", find);
byId("benchmark").addEventListener("change", () => {
  fillGroups();
  fillReasons();
  find();
});
let waiting;
byId("search").addEventListener("input", () => {
  clearTimeout(waiting);
  waiting = setTimeout(find, 200);
});
for (const button of document.querySelectorAll("button.before")) button.addEventListener("click", () => toTop(state.page - 1));
for (const button of document.querySelectorAll("button.after")) button.addEventListener("click", () => toTop(state.page + 1));
byId("browser").hidden = false;
find();
