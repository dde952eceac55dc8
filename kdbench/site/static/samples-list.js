"use strict";
// The list of the page Samples, and the controls that order and filter it.
const kdbenchSampleList = (() => {
  const { el } = kdbench, S = kdbenchSamples;
  const ROWS = 50;

  function choice(label, options, value, change) {
    const select = el("select", {}, options.map(([key, text]) => el("option", { value: key, selected: key === value }, text)));
    select.addEventListener("change", () => change(select.value));
    return el("label", { class: "control" }, el("span", {}, label), select);
  }

  // All controls; `go` takes changes of the address.
  function controls(all, index, view, go) {
    const students = index.runs.filter((run) => !run.teacher);
    const others = view.shown.filter((run) => run !== view.baseline && !run.teacher);
    const sorts = Object.entries(S.SORTS).filter(([name]) => S.can(name, view)).map(([name, { label }]) => [name, label]);
    const flags = S.flags(index).map((name) => [name, S.FILTERS[name][0]]);
    const toggle = (run) => (event) => {
      const shown = index.runs.filter((r) => (r === run ? event.target.checked : view.columns.includes(r)));
      go({ students: shown.map((r) => r.run) });
    };
    return [
      choice("Task", all.tasks.map(({ name, count }) => [name, `${name} (${count.toLocaleString("en")})`]), index.task.name, (task) => go({ task, id: null, category: null })),
      students.length > 2 && choice("Student", [["", "several"], ...students.filter((run) => run !== view.baseline).map((run) => [run.run, run.label])],
        others.length === 1 ? others[0].run : "", (student) => go({ students: student ? [...[view.baseline].filter(Boolean).map((run) => run.run), student] : null, id: null })),
      el("details", { class: "control students" },
        el("summary", {}, `Models shown: ${view.columns.length} of ${index.runs.length}`),
        el("fieldset", {}, el("legend", {}, "Models shown"), index.runs.map((run) => el("label", {},
          el("input", { type: "checkbox", checked: view.columns.includes(run), onchange: toggle(run) }), ` ${run.label}${run.teacher ? " (teacher)" : ""}`)))),
      students.length > 1 && choice("Baseline", [["", "none"], ...students.map((run) => [run.run, run.label])], view.baseline?.run ?? "", (baseline) => go({ baseline: baseline || "none" })),
      choice("Order", sorts, view.sort, (sort) => go({ sort, id: null })),
      flags.length > 0 && choice("Only", [["", "all responses"], ...flags], view.flag ?? "", (only) => go({ only, id: null })),
      index.categories.length > 0 && choice("Category", [["", "all"], ...index.categories.map((name) => [name, name])], view.category === null ? "" : index.categories[view.category], (category) => go({ category, id: null })),
    ];
  }

  function searchBox(view, go, cancel) {
    const input = el("input", { type: "search", id: "samples-q", value: view.q ?? "", placeholder: "text in prompts and responses", autocomplete: "off" });
    const form = el("form", { class: "control search", role: "search" },
      el("label", { for: "samples-q" }, "Search"), input, el("button", {}, "Search"),
      el("button", { type: "button", class: "cancel", hidden: true, onclick: cancel }, "Stop"),
      el("progress", { max: 1, value: 0, hidden: true, "aria-label": "Search" }));
    form.addEventListener("submit", (event) => { event.preventDefault(); go({ q: input.value.trim(), id: null }); });
    input.addEventListener("search", () => { if (!input.value) go({ q: "", id: null }); });
    return form;
  }

  const decimals = (index) => ({ points: 1, rate: 2 }[index.unit] ?? 2);
  function shownKey(index, view, key) {
    if (key === -Infinity || Number.isNaN(key) || view.sort === "data") return "";
    if (["longest", "shortest"].includes(view.sort)) return `${Math.abs(key).toFixed(0)} tokens`;
    if (view.sort === "agreement") return (-key).toFixed(2);
    if (view.sort === "worst") return (index.lower ? key : -key).toFixed(decimals(index));
    const signed = view.sort === "gain" ? key : -key;
    return `${signed > 0 ? "+" : signed < 0 ? "−" : ""}${Math.abs(signed).toFixed(decimals(index))}`;
  }

  // A page of the list: the one with the chosen document, unless another is asked for.
  function list(index, view, order, heads, address) {
    const at = order.documents.indexOf(view.document);
    const pages = Math.max(1, Math.ceil(order.documents.length / ROWS));
    const page = Math.min(pages - 1, view.page ?? (at < 0 ? 0 : Math.floor(at / ROWS)));
    const rows = order.documents.slice(page * ROWS, (page + 1) * ROWS).map((d) => {
      const text = heads?.[d] || index.ids[d];
      return el("li", {}, el("a", { href: address({ id: index.ids[d], page: null, token: null }), "aria-current": d === view.document ? "true" : null },
        el("span", { class: "head", dir: "auto" }, kdbenchTokens.visible(text)), " ",
        el("span", { class: "key" }, shownKey(index, view, order.keys[d]))));
    });
    const turn = (to, label, enabled) => (enabled ? el("a", { href: address({ page: to, id: null }), class: "turn" }, label) : el("span", { class: "turn off" }, label));
    return [
      el("p", { class: "count", role: "status" }, `${order.documents.length.toLocaleString("en")} of ${index.count.toLocaleString("en")} prompts`,
        pages > 1 ? `, page ${page + 1} of ${pages.toLocaleString("en")}` : ""),
      rows.length ? el("ol", { start: page * ROWS + 1, class: "rows" }, rows) : el("p", { class: "empty" }, "No prompt fits. Remove a filter or the search."),
      pages > 1 && el("nav", { "aria-label": "Pages of the list", class: "turns" }, turn(page - 1, "← previous", page > 0), turn(page + 1, "next →", page + 1 < pages)),
    ];
  }

  // Which tokens the teacher rejects most often, with links to where it did.
  function rejected(index, data, view, address) {
    const runs = view.shown.filter((run) => run.details), texts = data.rejected;
    if (!runs.length || !texts.length) return el("p", { class: "empty" }, "No model shown has token details.");
    const total = (run) => data.totals[run.number] || 1;
    const rows = texts
      .map((row) => ({ ...row, share: Math.max(0, ...runs.map((run) => (row.runs[run.number]?.rejected ?? 0) / total(run))) }))
      .filter((row) => row.share > 0).sort((a, b) => b.share - a.share).slice(0, 30);
    const link = (run, [d, seed, token, acceptance]) => [" ", el("a", {
      href: address({ id: index.ids[d], students: [...new Set([...view.columns.filter((r) => r.teacher), run].map((r) => r.run))], seed, token, view: null, page: null }),
      "aria-label": `${run.label}, ${index.ids[d]}, seed ${seed}, acceptance ${acceptance}`,
    }, acceptance.toFixed(2))];
    const cells = (row, run) => {
      const known = row.runs[run.number];
      if (!known) return [el("td", {}, "–"), el("td", {}), el("td", {})];
      return [el("td", {}, `${(100 * known.rejected / total(run)).toFixed(1)} %`),
        el("td", {}, `${(100 * known.rejected / known.n).toFixed(0)} % of ${known.n.toLocaleString("en")}`),
        el("td", { class: "text" }, known.examples.slice(0, 3).map((example) => link(run, example)))];
    };
    return [
      el("p", {}, "A token is rejected to the extent of 1 − acceptance at its place: the chance that the teacher, verifying the student’s drafts, draws another token there. The first column is the share of all of a model’s rejections; the numbers in the last one lead to places with the lowest acceptance."),
      el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Tokens that are rejected most often" }, el("table", { class: "rejected" },
        el("caption", {}, `Tokens that the teacher rejects most often, ${index.task.name}`),
        el("thead", {},
          el("tr", {}, el("th", { scope: "col", rowspan: 2, class: "text" }, "Token"), runs.map((run) => el("th", { scope: "colgroup", colspan: 3 }, run.label))),
          el("tr", {}, runs.map(() => [el("th", { scope: "col" }, "of all"), el("th", { scope: "col" }, "rejected"), el("th", { scope: "col", class: "text" }, "where")]))),
        el("tbody", {}, rows.map((row) => el("tr", {}, el("th", { scope: "row" }, el("code", {}, kdbenchTokens.name(row.text))), runs.map((run) => cells(row, run))))))),
    ];
  }
  return { controls, searchBox, list, rejected, decimals };
})();
