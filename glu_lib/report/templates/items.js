// Filters, searches and shows the items that flipped; all data enter the page as text.
(() => {
  "use strict";
  const tasks = JSON.parse(document.getElementById("items-data").textContent);
  const PAGE = 40;
  const place = (id) => document.getElementById(id);
  const [task, level, change, search, found, list, more] =
    ["task", "level", "change", "search", "found", "items", "more"].map(place);
  let chosen = [], shown = 0;

  // `parts` are elements or texts; a text never becomes markup.
  function element(name, attributes, ...parts) {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...parts);
    return made;
  }

  const changeAt = (item, number) => {
    const pair = item.r[0] + item.r[number];
    return pair === "01" ? "gained" : pair === "10" ? "lost" : "";
  };
  const numbers = (own) => own.levels.map((_, number) => number).slice(1);
  const textOf = (item) => (item.all ??= [item.n, item.q ?? "", item.t, ...item.o, ...item.a.flat()].join("\n").toLowerCase());

  function fits(own, item, words) {
    const levels = level.value === "" ? numbers(own) : numbers(own).filter((number) => own.levels[number] === level.value);
    const changed = levels.map((number) => changeAt(item, number)).filter(Boolean);
    if (!(change.value ? changed.includes(change.value) : changed.length)) return false;
    return words.every((word) => textOf(item).includes(word));
  }

  function filter() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const some = task.value === "" ? tasks : [tasks[Number(task.value)]];
    chosen = some.flatMap((own) => own.items.filter((item) => fits(own, item, words)).map((item) => [own, item]));
    list.replaceChildren();
    shown = 0;
    const flips = some.reduce((sum, own) => sum + own.left, 0);
    found.textContent = `${chosen.length.toLocaleString("en")} ${chosen.length === 1 ? "item" : "items"} found`
      + (flips ? `; ${flips.toLocaleString("en")} more flips are left out, so that this page stays small` : "") + ".";
    grow();
  }

  function grow() {
    for (const [own, item] of chosen.slice(shown, shown + PAGE)) {
      const made = card(own, item), prompt = made.querySelector(".prompt");
      list.append(made);
      if (prompt) prompt.scrollTop = prompt.scrollHeight; // the question comes after the examples
    }
    shown = Math.min(shown + PAGE, chosen.length);
    more.hidden = shown === chosen.length;
    more.textContent = `Show more (${(chosen.length - shown).toLocaleString("en")} left)`;
  }

  const sign = (mark) => ({ 1: "✓", 0: "✗" })[mark] ?? "–";
  const word = (mark) => ({ 1: "right", 0: "wrong" })[mark] ?? "not scored";
  const text = (value) => (value === "" ? element("span", { class: "none" }, "(empty)") : element("span", { class: "own" }, value));
  const head = (own, number, item) => { const mark = item.r[number]; return (
    element("span", {}, `${own.levels[number]} `, element("small", {}, own.ratios[number]), " ",
      element("b", { class: `is-${word(mark).replace(" ", "-")}`, role: "img", "aria-label": word(mark), title: word(mark) }, sign(mark)),
      ...(typeof item.v[number] === "number" ? [" ", element("small", {}, item.v[number].toFixed(2))] : []))); };

  function card(own, item) {
    const by = { gained: [], lost: [] };
    for (const number of numbers(own)) by[changeAt(item, number)]?.push(own.levels[number]);
    const made = element("article", { class: "item" },
      element("h3", {}, item.n, " ", element("small", {}, own.name)),
      element("p", { class: "flips" }, ...Object.entries(by).filter(([, levels]) => levels.length)
        .map(([kind, levels]) => element("span", { class: kind }, `${kind} at ${levels.join(", ")}`))));
    if (item.q !== null) {
      if (item.c) made.append(element("p", { class: "note" }, `The first ${item.c.toLocaleString("en")} characters of the prompt are left out.`));
      made.append(element("pre", { class: "prompt own", tabindex: "0", "aria-label": "Prompt" }, item.q));
    }
    const isGenerated = item.a.some((answer) => typeof answer === "string");
    const isTargetAlone = !isGenerated && item.o.length === 1;
    if (item.t && !item.g.length && !isTargetAlone) made.append(element("p", { class: "target" }, element("b", {}, "Target: "), text(item.t)));
    made.append(element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": `Answers to ${item.n}` },
      isGenerated ? generated(own, item) : options(own, item)));
    return made;
  }

  function generated(own, item) {
    return element("table", { class: "texts" }, element("caption", {}, "Generated text"),
      element("tbody", {}, ...own.levels.map((_, number) => element("tr", {},
        element("th", { scope: "row" }, head(own, number, item)),
        element("td", {}, item.a[number] === null ? "–" : text(String(item.a[number])))))));
  }

  // acc_norm takes the option with the highest log-probability per character, every other metric the highest one.
  function likeliest(own, item, answer) {
    const perCharacter = own.metric.startsWith("acc_norm");
    if (answer.length < 2 || (perCharacter && !item.o.length)) return -1;
    const scores = answer.map((value, place) => (typeof value === "number" ? value : -Infinity) / (perCharacter ? (item.o[place] ?? "").trim().length || 1 : 1));
    return scores.indexOf(Math.max(...scores));
  }

  function options(own, item) {
    const count = Math.max(...item.a.map((answer) => (Array.isArray(answer) ? answer.length : 0)));
    const best = item.a.map((answer) => (Array.isArray(answer) ? likeliest(own, item, answer) : -1));
    const rows = Array.from({ length: count }, (_, place) => element("tr", item.g.includes(place) ? { class: "correct" } : {},
      element("th", { scope: "row" }, item.o[place] === undefined ? `option ${place + 1}` : text(item.o[place].trim() || item.o[place]),
        ...(item.g.includes(place) ? [" ", element("small", {}, "right")] : [])),
      ...item.a.map((answer, number) => element("td", best[number] === place ? { class: "best" } : {}, logProbability(answer?.[place])))));
    return element("table", { class: "options" },
      element("caption", {}, count === 1 ? "Log-probability of the target"
        : `Log-probabilities; highest${own.metric.startsWith("acc_norm") ? " per character" : ""} in bold`),
      element("thead", {}, element("tr", {}, element("th", { scope: "col" }, count === 1 ? "Target" : "Option"),
        ...own.levels.map((_, number) => element("th", { scope: "col" }, head(own, number, item))))),
      element("tbody", {}, ...rows));
  }
  const logProbability = (value) => (typeof value === "number" ? value.toFixed(2).replace("-", "−") : value === undefined ? "–" : value === "-inf" ? "−∞" : String(value));

  function start() {
    tasks.forEach((own, number) => task.append(element("option", { value: String(number) }, own.name)));
    for (const key of new Set(tasks.flatMap((own) => own.levels.slice(1)))) level.append(element("option", { value: key }, key));
    for (const field of [task, level, change]) field.addEventListener("change", filter);
    search.addEventListener("input", filter);
    more.addEventListener("click", grow);
    place("filters").addEventListener("submit", (event) => event.preventDefault());
    for (const cell of document.querySelectorAll("[data-task]")) {
      cell.disabled = false;
      cell.addEventListener("click", () => {
        [task.value, level.value, change.value, search.value] = [cell.dataset.task, cell.dataset.level, "", ""];
        filter();
        place("filters").scrollIntoView();
      });
    }
    place("explorer").hidden = false;
    filter();
  }
  start();
})();
