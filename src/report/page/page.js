
"use strict";
// Shows the items of the page, a part at a time. Every text is set as text, never as markup.
(() => {
  const at = (id) => document.getElementById(id);
  const { kinds, rows: lines } = JSON.parse(at("data").textContent);
  // A text among the rows is the next name; rows say names by their number.
  const names = [""];
  const rows = [];
  for (const line of lines) {
    if (typeof line === "string") names.push(line);
    else rows.push(line);
  }
  if (rows.length === 0) return;

  const number = (value) => value.toLocaleString("en");
  const cut = (text) => (text.length > 80 ? text.slice(0, 80) + "…" : text);
  const make = (tag, text, name) => {
    const made = document.createElement(tag);
    if (text) made.textContent = text;
    if (name) made.className = name;
    return made;
  };

  // What the filters compare, by the place of it in a row.
  const filters = [
    { id: "kind", place: 0, words: (value) => kinds[value][0] },
    { id: "group", place: 2, words: (value) => names[value] },
    { id: "reason", place: 3, words: (value) => names[value] },
    { id: "outcome", place: 4, words: (value) => names[value] },
  ];
  const wanted = new Map();
  let person = null;
  let terms = [];
  let meant = rows;
  let first = 0;

  for (const filter of filters) {
    const counts = new Map();
    for (const row of rows) {
      const value = row[filter.place];
      counts.set(value, (counts.get(value) || 0) + 1);
    }
    const select = at(filter.id);
    const option = (value, text) => {
      const made = make("option", text);
      made.value = value;
      select.append(made);
    };
    option("", "all");
    const values = [...counts.keys()].filter((value) => filter.place === 0 || value > 0);
    const order = filter.place === 0
      ? (one, other) => one - other
      : (one, other) => names[one].localeCompare(names[other]);
    for (const value of values.sort(order)) {
      option(value, cut(filter.words(value)) + " (" + number(counts.get(value)) + ")");
    }
    if (filter.place !== 0) {
      if (values.length === 0) select.parentElement.hidden = true;
      else if (counts.has(0)) option(0, "none (" + number(counts.get(0)) + ")");
    }
    select.addEventListener("change", () => {
      if (select.value === "") wanted.delete(filter.place);
      else wanted.set(filter.place, Number(select.value));
      show();
    });
  }

  // Made with the first search: nobody waits for it who does not search.
  let searched = null;
  const texts = () => {
    searched ??= rows.map((row) => {
      const [kind, who, group, reason, outcome, words, fields] = row;
      const parts = [kinds[kind][0], who, names[group], names[reason], names[outcome], words || ""];
      (fields || []).forEach((part, place) => {
        parts.push(place % 3 === 0 ? names[part] : part || "");
      });
      return parts.join("\n").toLowerCase();
    });
    return searched;
  };

  const show = () => {
    const held = terms.length > 0 ? texts() : null;
    const all = [...wanted];
    meant = rows.filter((row, place) =>
      all.every(([part, value]) => row[part] === value) &&
      (person === null || row[1] === person) &&
      (held === null || terms.every((term) => held[place].includes(term))));
    first = 0;
    draw();
  };

  const long = (tag, text) => {
    const made = make(tag);
    if (text.length > 240) {
      const folded = make("details", "", "long");
      folded.append(make("summary", text.slice(0, 100) + "… (" + number(text.length) + " characters)"), text);
      made.append(folded);
    } else {
      made.textContent = text;
    }
    return made;
  };

  const listOf = (fields) => {
    const list = make("ul", "", "flow");
    fields.forEach((name, place) => {
      if (place % 3 !== 0) return;
      const field = make("li");
      field.append(make("small", cut(names[name])), " ");
      if (fields[place + 1] !== 0) field.append(long("del", fields[place + 1]), " → ");
      field.append(long("ins", fields[place + 2]));
      list.append(field);
    });
    return list;
  };

  const drawn = ([kind, who, group, reason, outcome, words, fields]) => {
    const line = make("tr");
    const [label, sign, colour] = kinds[kind];
    line.append(make("td", sign + " " + label, colour));
    const cell = make("td");
    if (who) {
      const button = make("button", cut(who), "who");
      button.type = "button";
      button.title = "Show everything about " + cut(who);
      button.addEventListener("click", () => only(who));
      cell.append(button);
    }
    line.append(cell, make("td", cut(names[group])));
    const details = make("td");
    if (outcome) details.append(names[outcome] === "done" ? make("small", "done") : make("strong", names[outcome], names[outcome] === "found" ? "" : "stop"), " ");
    if (reason) details.append(make("code", names[reason]), " ");
    if (words) details.append(long("span", words));
    if (fields) details.append(listOf(fields));
    line.append(details);
    return line;
  };

  const list = at("list");
  const draw = () => {
    const size = Number(at("size").value);
    const part = meant.slice(first, first + size);
    list.tBodies[0].replaceChildren(...part.map(drawn));
    list.hidden = part.length === 0;
    const all = number(rows.length);
    let words = meant.length === rows.length
      ? "All " + all + " shown"
      : number(meant.length) + " of " + all + " shown";
    if (meant.length > part.length) {
      words += "; here " + number(first + 1) + " to " + number(first + part.length);
    }
    at("count").textContent = words + ".";
    at("pages").hidden = size >= meant.length;
    at("previous").disabled = first === 0;
    at("next").disabled = first + size >= meant.length;
    const told = at("person");
    told.hidden = person === null;
    told.querySelector("b").textContent = cut(person || "");
  };

  const only = (who) => {
    person = who;
    show();
    at("person").querySelector("button").focus();
  };

  const clear = () => {
    wanted.clear();
    person = null;
    terms = [];
    at("filters").reset();
  };

  let waiting = 0;
  at("q").addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => {
      terms = at("q").value.toLowerCase().split(/\s+/).filter(Boolean);
      show();
    }, 150);
  });
  at("filters").addEventListener("submit", (event) => event.preventDefault());
  at("filters").querySelector("[type=reset]").addEventListener("click", (event) => {
    event.preventDefault();
    clearTimeout(waiting);
    clear();
    show();
  });
  at("person").querySelector("button").addEventListener("click", () => {
    person = null;
    show();
    at("q").focus();
  });
  const turn = (pages) => {
    first += pages * Number(at("size").value);
    draw();
    at("count").scrollIntoView();
  };
  at("previous").addEventListener("click", () => turn(-1));
  at("next").addEventListener("click", () => turn(1));
  at("size").addEventListener("change", () => {
    first = 0;
    draw();
  });

  // A figure leads to exactly the items that it counts.
  for (const link of document.querySelectorAll("a.pick")) {
    link.addEventListener("click", () => {
      clear();
      for (const filter of filters) {
        const value = link.dataset[filter.id];
        if (value === undefined) continue;
        wanted.set(filter.place, Number(value));
        at(filter.id).value = value;
      }
      show();
    });
  }

  const folds = () => document.querySelectorAll("details.group");
  for (const [id, open] of [["unfold", true], ["fold", false]]) {
    const button = at(id);
    if (button === null) continue;
    button.hidden = false;
    button.addEventListener("click", () => folds().forEach((fold) => { fold.open = open; }));
  }
  let folded = [];
  addEventListener("beforeprint", () => {
    folded = [...document.querySelectorAll("details")].filter((fold) => fold.open === false);
    folded.forEach((fold) => { fold.open = true; });
  });
  addEventListener("afterprint", () => folded.forEach((fold) => { fold.open = false; }));

  at("unscripted").hidden = true;
  at("filters").hidden = false;
  show();
})();
