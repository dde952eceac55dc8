"use strict";
// The page Compare: the numbers come from Python; this only chooses and shows them.
(() => {
  const { el } = kdbench;
  const FIELDS = ["task", "n", "base", "new", "change", "low", "high", "p", "adjusted", "sees", "verdict"];
  const STEP = 25; // prompts shown at once
  const tools = document.getElementById("compare-tools");
  const result = document.getElementById("compare-result");
  let index = null;
  let state = null; // { base, news, metric, focus, task, order, shown }

  // Folders of runs in an address; a folder may hold commas itself.
  function runsIn(text) {
    const places = index.runs.map(({ run }) => [`,${text},`.indexOf(`,${run},`), run]);
    return places.filter(([place]) => place >= 0).sort((a, b) => a[0] - b[0]).map(([, run]) => run);
  }
  const label = (run) => index.runs.find((r) => r.run === run)?.label ?? run;
  const title = (task) => (task === "AVG" ? "Average" : index.tasks[task] ?? task);
  const signed = (x, d) => `${x > 0 ? "+" : x < 0 ? "−" : ""}${Math.abs(x).toFixed(d)}`;
  const interval = (row, d) => (row.low === null ? "" : `[${signed(row.low, d)}, ${signed(row.high, d)}]`);
  const pText = (p) => (p < 0.001 ? "< 0.001" : p.toFixed(3));
  const tone = (verdict) => ({ improved: "good", regressed: "bad", worse: "bad" })[verdict] ?? "";

  function svg(tag, attributes, ...children) {
    const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  }
  function forest(row, reach) {
    const x = (value) => 88 + (84 * Math.max(-reach, Math.min(reach, value))) / reach;
    const parts = [svg("line", { class: "zero", x1: 88, x2: 88, y1: 0, y2: 20 })];
    if (row.low !== null) parts.push(svg("line", { class: "range", x1: x(row.low), x2: x(row.high), y1: 10, y2: 10 }));
    parts.push(svg("circle", { cx: x(row.change), cy: 10, r: 3.5 }));
    return svg("svg", { class: `forest ${tone(row.verdict)}`, viewBox: "0 0 176 20", "aria-hidden": "true" }, ...parts);
  }

  function go(changes) {
    const next = { ...state, ...changes };
    const { base, news, metric, focus, task, order } = next;
    const params = { base, new: news, metric, focus: news.includes(focus) && news.length > 1 ? focus : null };
    kdbench.go("compare", { ...params, task, order: order === "loss" ? null : order }, { replace: true });
  }

  function fillTools() {
    const bases = index.runs.filter(({ run }) => run in index.bases);
    tools.elements.base.append(...bases.map((r) => el("option", { value: r.run }, r.label)));
    const arrow = { higher: "↑", lower: "↓" };
    const metrics = index.metrics.map((m) => el("option", { value: m.name }, `${m.name} ${arrow[m.direction]}`));
    tools.elements.metric.append(...metrics);
    const chips = index.runs.map((r) =>
      el("label", { class: "chip" }, el("input", { type: "checkbox", name: "new", value: r.run }), r.label),
    );
    document.getElementById("compare-new").append(...chips);
    tools.addEventListener("submit", (event) => event.preventDefault());
    tools.addEventListener("change", ({ target }) => {
      const base = tools.elements.base.value;
      const added = target.name === "new" && target.checked ? target.value : null;
      const boxes = [...tools.querySelectorAll("[name=new]:checked")].map((box) => box.value);
      let news = boxes.filter((run) => run !== base);
      if (added && !state.chosen) news = [added]; // it replaces the run that no one has chosen
      if (!news.length) news = [index.runs.find((r) => r.run !== base).run];
      go({ base, news, metric: tools.elements.metric.value, focus: added ?? state.focus });
    });
  }

  function detail(rows, metric) {
    const reach = Math.max(...rows.flatMap((r) => [r.change, r.low ?? 0, r.high ?? 0].map(Math.abs))) || 1;
    const d = metric.decimals;
    const heads = ["task", "change", "95 % interval", "p (Holm)", "verdict", label(state.base), label(state.focus), "sees", "prompts"];
    const head = (text, i) => el("th", { scope: "col", class: i === 0 || i === 4 ? "text" : null, colspan: i === 2 ? 2 : null }, text);
    return el(
      "div",
      { class: "scroll", tabindex: 0, role: "region", "aria-label": "Paired differences" },
      el(
        "table",
        {},
        el("caption", {}, `${metric.name} (${metric.unit}, ${metric.direction} is better)`),
        el("thead", {}, el("tr", {}, heads.map(head))),
        el(
          "tbody",
          {},
          rows.map((row) =>
            el(
              "tr",
              { class: row.task === "AVG" ? "average" : null },
              el("th", { scope: "row" }, title(row.task)),
              el("td", {}, signed(row.change, d)),
              el("td", {}, interval(row, d)),
              el("td", { class: "picture" }, forest(row, reach)),
              el("td", {}, pText(row.adjusted)),
              el("td", { class: "text" }, el("span", { class: `verdict ${tone(row.verdict)}` }, row.verdict)),
              el("td", {}, row.base.toFixed(d)),
              el("td", {}, row.new.toFixed(d)),
              el("td", {}, row.sees === null ? "" : row.sees.toFixed(d)),
              el("td", {}, String(row.n)),
            ),
          ),
        ),
      ),
    );
  }

  function matrix(byRun, metric) {
    const tasks = [...new Set([...byRun.values()].flat().map((row) => row.task))];
    tasks.sort((a, b) => (a === "AVG") - (b === "AVG"));
    const heads = state.news.map((run) =>
      el(
        "th",
        { scope: "col", class: run === state.focus ? "focus" : null },
        el("button", { type: "button", "aria-pressed": run === state.focus, onclick: () => go({ focus: run }) }, label(run)),
      ),
    );
    const cell = (task) => (run) => {
      const row = byRun.get(run).find((r) => r.task === task);
      const cls = run === state.focus ? "focus" : null;
      if (!row) return el("td", { class: cls });
      const text = el("span", { class: `verdict ${tone(row.verdict)}`, title: row.verdict }, signed(row.change, metric.decimals));
      return el("td", { class: cls }, text, el("span", { class: "unseen" }, ` ${row.verdict}`), el("small", {}, interval(row, metric.decimals)));
    };
    return el(
      "div",
      { class: "scroll", tabindex: 0, role: "region", "aria-label": "Differences of several runs" },
      el(
        "table",
        { class: "matrix" },
        el("caption", {}, `Differences from ${label(state.base)}: ${metric.name} (${metric.unit}, ${metric.direction} is better). ▲ improved, ▼ regressed, · neither. A name shows its details below.`),
        el("thead", {}, el("tr", {}, el("th", { scope: "col", class: "text" }, "task"), heads)),
        el("tbody", {}, tasks.map((task) => el("tr", { class: task === "AVG" ? "average" : null }, el("th", { scope: "row" }, title(task)), state.news.map(cell(task))))),
      ),
    );
  }

  async function moves(metric) {
    const tasks = Object.keys(index.tasks).filter((task) => `${task}\n${metric.name}` in index.scores);
    const chosen = state.task && tasks.includes(state.task) ? [state.task] : tasks;
    const sign = metric.direction === "lower" ? -1 : 1;
    const prompts = [];
    for (const task of chosen) {
      const scores = await kdbench.load(index.scores[`${task}\n${metric.name}`]);
      const [old, now] = [scores.runs[state.base], scores.runs[state.focus]];
      if (!old || !now) continue;
      scores.ids.forEach((id, i) => {
        if (old[i] !== null && now[i] !== null) prompts.push({ task, id, base: old[i], now: now[i], gain: sign * (now[i] - old[i]) });
      });
    }
    const orders = {
      loss: (a, b) => a.gain - b.gain,
      gain: (a, b) => b.gain - a.gain,
      move: (a, b) => Math.abs(b.gain) - Math.abs(a.gain),
    };
    prompts.sort(orders[state.order] ?? orders.loss);
    return { prompts, tasks };
  }

  function samples(prompt) {
    const known = index.runs.filter((r) => [state.base, state.focus].includes(r.run));
    if (!known.every((r) => r.samples.includes(prompt.task))) return prompt.id;
    const href = kdbench.address("samples", { task: prompt.task, id: prompt.id, students: [state.base, state.focus] });
    return el("a", { href }, prompt.id);
  }

  function bar(gain, reach) {
    const width = (42 * Math.min(Math.abs(gain), reach)) / (reach || 1);
    return svg(
      "svg",
      { class: `move ${gain < 0 ? "bad" : ""}`, viewBox: "0 0 90 10", preserveAspectRatio: "none", "aria-hidden": "true" },
      svg("rect", { x: gain < 0 ? 45 - width : 45, y: 1, width, height: 8 }),
      svg("line", { x1: 45, x2: 45, y1: 0, y2: 10 }),
    );
  }

  function promptTable({ prompts, tasks }, metric) {
    const d = metric.decimals;
    const reach = prompts.reduce((most, p) => Math.max(most, Math.abs(p.gain)), 0);
    const lost = prompts.filter((p) => p.gain < 0).length;
    const gained = prompts.filter((p) => p.gain > 0).length;
    const sign = metric.direction === "lower" ? -1 : 1;
    const linked = prompts.some((p) => typeof samples(p) !== "string");
    const body = el("tbody");
    const more = el("button", { type: "button" });
    const add = () => {
      const start = body.rows.length;
      for (const p of prompts.slice(start, start + (start ? 4 * STEP : STEP))) {
        body.append(
          el(
            "tr",
            {},
            el("th", { scope: "row" }, samples(p)),
            el("td", {}, signed(sign * p.gain, d)),
            el("td", { class: "picture" }, bar(p.gain, reach)),
            el("td", {}, p.base.toFixed(d)),
            el("td", {}, p.now.toFixed(d)),
            el("td", { class: "text" }, title(p.task)),
          ),
        );
      }
      more.hidden = body.rows.length >= prompts.length;
      more.textContent = `Show more (${prompts.length - body.rows.length} left)`;
    };
    more.addEventListener("click", add);
    add();
    const option = (value, text, chosen) => el("option", { value, selected: value === chosen }, text);
    const task = el("select", { onchange: (e) => go({ task: e.target.value || null }) }, option("", "all tasks", state.task ?? ""), tasks.map((t) => option(t, title(t), state.task)));
    const order = el(
      "select",
      { onchange: (e) => go({ order: e.target.value }) },
      [["loss", "largest loss"], ["gain", "largest gain"], ["move", "largest move"]].map(([v, t]) => option(v, `${t} first`, state.order)),
    );
    return [
      el("h2", {}, "Prompts by how far they moved"),
      el("div", { class: "tools" }, el("label", {}, "Task ", task), el("label", {}, "Order ", order), el("span", { class: "note" }, `${lost} lost, ${gained} gained, ${prompts.length - lost - gained} equal, of ${prompts.length} prompts`)),
      el(
        "div",
        { class: "scroll", tabindex: 0, role: "region", "aria-label": "Prompts" },
        el(
          "table",
          {},
          el("caption", {}, `${metric.name} of each prompt, mean over seeds.${linked ? " A prompt leads to its samples." : ""}`),
          el("thead", {}, el("tr", {}, ["prompt", "change", label(state.base), label(state.focus), "task"].map((h, i) => el("th", { scope: "col", class: i === 0 || i === 4 ? "text" : null, colspan: i === 1 ? 2 : null }, h)))),
          body,
        ),
      ),
      more,
    ];
  }

  let drawing = 0;
  async function draw() {
    const mine = ++drawing;
    const metric = index.metrics.find((m) => m.name === state.metric);
    const pairs = await kdbench.load(index.bases[state.base]);
    const rowsOf = (run) =>
      (pairs[run]?.rows[metric.name] ?? []).map((row) => Object.fromEntries(FIELDS.map((field, i) => [field, row[i]])));
    const byRun = new Map(state.news.map((run) => [run, rowsOf(run)]));
    const rows = byRun.get(state.focus);
    const problems = (pairs[state.focus]?.problems ?? []).map((text) => el("li", {}, text));
    const found = await moves(metric);
    if (mine !== drawing) return; // the reader has chosen something else meanwhile
    const none = el("p", { class: "empty" }, `${label(state.focus)} and ${label(state.base)} have no ${metric.name} of the same prompts.`);
    result.replaceChildren(
      ...(state.news.length > 1 ? [matrix(byRun, metric)] : []),
      el("h2", {}, `${label(state.focus)} against ${label(state.base)}`),
      rows.length ? detail(rows, metric) : none,
      ...(problems.length ? [el("ul", { class: "notes" }, problems)] : []),
      ...(found.prompts.length ? promptTable(found, metric) : []),
    );
  }

  kdbench.page("compare", {
    async show(params) {
      if (!index) {
        index = await kdbench.load("compare");
        fillTools();
      }
      const base = params.base in index.bases ? params.base : index.base;
      let news = runsIn(params.new ?? "").filter((run) => run !== base);
      const chosen = news.length > 0;
      if (!chosen) news = [index.runs.find((r) => r.run !== base).run];
      const metric = index.metrics.some((m) => m.name === params.metric) ? params.metric : index.metrics[0].name;
      const focus = news.includes(params.focus) ? params.focus : news[0];
      const order = ["gain", "move"].includes(params.order) ? params.order : "loss";
      const task = params.task in index.tasks ? params.task : null;
      state = { base, news, chosen, metric, focus, order, task };
      tools.elements.base.value = base;
      tools.elements.metric.value = metric;
      for (const box of tools.querySelectorAll("[name=new]")) {
        box.checked = news.includes(box.value);
        box.disabled = box.value === base;
        box.closest("label").hidden = box.value === base;
      }
      await draw();
    },
  });
})();
