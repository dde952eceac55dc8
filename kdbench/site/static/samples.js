"use strict";
// The page Samples: one prompt at a time with all responses; the address holds the whole state.
(() => {
  const { el } = kdbench, S = kdbenchSamples, T = kdbenchTokens, L = kdbenchSampleList;
  const FEW = 4; // models that are shown without a choice
  let contents = null, now = null; // { index, view, order, heads, params }
  let searching = null, found = null, built = null, shown = 0; // found: the last search, finished

  // The address is made of the parameters shown now and the changes to them.
  const changed = (changes) => ({ ...now.params, ...changes });
  const address = (changes) => kdbench.address("samples", changed(changes));
  const go = (changes, options) => kdbench.go("samples", changed(changes), options);

  function viewOf(index, params) {
    const named = index.runs.filter((run) => `,${params.students ?? ""},`.includes(`,${run.run},`)); // a name may hold commas
    const students = index.runs.filter((run) => !run.teacher), teachers = index.runs.filter((run) => run.teacher);
    const baseline = params.baseline === "none" ? null
      : index.byName.get(params.baseline) ?? index.byName.get(contents.baseline) ?? null;
    const few = students.slice(0, students.length > FEW ? FEW - 1 : FEW);
    const columns = index.runs.filter((run) => (named.length ? named.includes(run) : few.includes(run) || run === baseline || teachers.includes(run)));
    // The teacher is shown beside the students, whatever an address names, unless it is unticked.
    const columnsWithTeacher = named.length && !named.some((run) => run.teacher) && params.teacher !== "none" ? [...teachers, ...columns] : columns;
    const view = {
      columns: [...columnsWithTeacher].sort((a, b) => b.teacher - a.teacher || (b === baseline) - (a === baseline) || a.number - b.number),
      baseline, teacher: teachers[0] ?? null, q: params.q || null, hits: null,
      flag: Object.hasOwn(S.FILTERS, params.only ?? "") ? params.only : null,
      category: index.categories.includes(params.category) ? index.categories.indexOf(params.category) : null,
      document: index.numbers.get(params.id) ?? -1,
      page: /^\d+$/.test(params.page ?? "") ? Number(params.page) : null,
      seed: params.seed, token: /^\d+$/.test(params.token ?? "") ? Number(params.token) : null,
    };
    view.shown = view.columns.filter((run) => !run.teacher);
    if (!view.shown.length) view.shown = view.columns;
    const usual = ["loss", "agreement", "data"].find((sort) => S.can(sort, view));
    view.sort = Object.hasOwn(S.SORTS, params.sort ?? "") && S.can(params.sort, view) ? params.sort : usual;
    return view;
  }

  // What decides the list; if it is as before, so is the list.
  const listKey = (index, view) => [index.task.name, view.sort, view.flag, view.category, view.q, view.baseline?.run, ...view.shown.map((run) => run.run)].join("\n");

  async function show(params, element) {
    const turn = ++shown, box = element.querySelector("#samples");
    box.setAttribute("aria-busy", "true");
    try {
      await draw(params, element, turn);
    } finally {
      if (turn === shown) box.setAttribute("aria-busy", "false");
    }
  }
  async function draw(params, element, turn) {
    contents ??= await kdbench.load("samples");
    const task = contents.tasks.find(({ name }) => name === params.task) ?? contents.tasks[0];
    const index = await S.index(task);
    if (turn !== shown) return; // another address came in the meantime
    T.hide();
    const view = viewOf(index, params), key = listKey(index, view);
    const place = frame(element);
    const old = now;
    now = { index, view, params, key, order: old?.key === key ? old.order : null, heads: old?.index === index ? old.heads : null };
    place.controls.replaceChildren(...L.controls(contents, index, view, go).filter(Boolean), tools(view));
    place.search.querySelector("input").value = view.q ?? "";
    if (!now.order) await makeOrder(place);
    if (turn !== shown) return;
    if (view.document < 0 || (!params.id && !now.order.documents.includes(view.document))) view.document = now.order.documents[0] ?? -1;
    element.classList.toggle("chosen", Boolean(params.id) || params.view === "tokens");
    showList(place);
    if (params.view === "tokens") {
      const data = await S.tokens(index);
      if (turn === shown) place.detail.replaceChildren(el("div", { class: "head-row" }, el("h2", {}, "Rejected tokens"), el("a", { class: "turn", href: address({ view: null }) }, "Back to the prompts")), ...[L.rejected(index, data, view, address)].flat());
    } else await showDocument(place, turn);
    if (!now.heads) {
      const heads = await S.heads(index);
      if (now.index === index) { now.heads = heads; showList(place); }
    }
  }

  function tools(view) {
    const other = now.params.view === "tokens";
    return el("p", { class: "control" }, (other || now.index.runs.some((run) => run.details)) && el("a", { href: address(other ? { view: null } : { view: "tokens" }) }, other ? "Back to the prompts" : "Rejected tokens"),
      view.baseline && view.shown.some((run) => run !== view.baseline) ? [" ", el("a", { href: kdbench.address("compare", { base: view.baseline.run, new: view.shown.filter((r) => r !== view.baseline).map((r) => r.run), task: now.index.task.name }) }, "Compare: is the difference significant?")] : null);
  }

  function frame(element) {
    if (built) return built;
    const search = L.searchBox({}, go, () => searching?.abort());
    built = {
      search,
      controls: el("div", { class: "controls" }),
      list: el("div", { class: "list", role: "region", "aria-label": "Prompts" }),
      detail: el("article", { class: "detail", "aria-label": "Prompt and responses" }),
    };
    element.querySelector("#samples").replaceChildren(el("div", { class: "bar" }, built.controls, search), el("div", { class: "columns" }, built.list, built.detail));
    return built;
  }

  const showList = (place) => place.list.replaceChildren(...L.list(now.index, now.view, now.order, now.heads, address).filter(Boolean));

  // Orders the documents, after the search if there is one; found documents are listed meanwhile.
  async function makeOrder(place) {
    const { index, view } = now, mine = now;
    searching?.abort();
    searching = null;
    const [bar, stop] = [place.search.querySelector("progress"), place.search.querySelector(".cancel")];
    const asked = JSON.stringify([index.task.name, view.q]);
    if (found?.asked === asked) view.hits = found.hits; // in another order
    bar.hidden = stop.hidden = !view.q || Boolean(view.hits);
    if (view.q && !view.hits) {
      const mySearch = (searching = new AbortController());
      let last = 0;
      const progress = (pages, hits) => {
        bar.value = pages / index.task.pages;
        if (performance.now() - last < 250) return;
        last = performance.now();
        view.hits = hits;
        mine.order = S.order(index, view);
        showList(place);
      };
      const hits = await S.search(index, view.q, { signal: mySearch.signal, progress });
      if (searching === mySearch) bar.hidden = stop.hidden = true;
      if (hits) found = { asked, hits: (view.hits = hits) };
      else mine.key = null; // stopped: what was found stays listed, and a new search begins anew
    }
    mine.order = S.order(index, view);
  }

  async function showDocument(place, turn) {
    const { index, view, order } = now, d = view.document;
    if (d < 0) return place.detail.replaceChildren(el("p", { class: "empty" }, "No prompt to show."));
    const wanted = view.columns.some((run) => run.details);
    const [document, tokens, detailed] = await Promise.all([S.document(index, d), wanted ? S.tokens(index) : null, wanted ? S.detailed(index, d) : {}]);
    if (turn !== shown) return;
    const at = order.documents.indexOf(d), count = order.documents.length;
    const step = (by, label) => {
      const next = order.documents[at + by];
      return next === undefined || at < 0 ? el("span", { class: "turn off" }, label) : el("a", { class: "turn", href: address({ id: index.ids[next], page: null, token: null }) }, label);
    };
    const seeds = [...new Set(view.columns.flatMap((run) => run.seeds))].sort((a, b) => a - b);
    const seed = seeds.find((s) => String(s) === view.seed) ?? seeds[0];
    const columns = view.columns.map((run) => column(run, document, detailed[run.number], tokens, seed));
    place.detail.replaceChildren(...[
      el("div", { class: "head-row" },
        el("h2", {}, `Prompt ${T.visible(index.ids[d])}`),
        el("nav", { "aria-label": "Prompts one by one", class: "turns" }, el("a", { class: "to-list turn", href: address({ id: null, token: null }) }, "List"), step(-1, "← previous"), el("span", { class: "place" }, at < 0 ? "not in the list" : `${(at + 1).toLocaleString("en")} of ${count.toLocaleString("en")}`), step(1, "next →"))),
      index.category && index.category[d] >= 0 && el("p", { class: "note" }, `Category: ${index.categories[index.category[d]]}`),
      el("div", { class: "question" }, asked(document.asked)),
      seeds.length > 1 && el("fieldset", { class: "seeds" }, el("legend", {}, "Seed"), seeds.map((s) => el("label", {}, el("input", { type: "radio", name: "seed", checked: s === seed, onchange: () => go({ seed: s, token: null }, { replace: true }) }), ` ${s}`))),
      columns.some((c) => c.marked) && T.legend(),
      el("div", { class: "responses", style: `--n: ${columns.length}` }, columns.map((c) => c.element)),
      ...missing(),
    ].filter(Boolean));
    if (view.token !== null) place.detail.querySelector(".sought")?.focus();
  }

  function asked(prompt) {
    if (!prompt) return [el("p", { class: "empty" }, "The prompt was not stored; it is when kdbench eval measures the model again.")];
    return [
      el("section", { class: "asked", "aria-label": "Prompt" },
        prompt.messages?.length
          ? [prompt.messages.map(({ role, content }) => el("div", { class: `message ${role === "user" ? "user" : ""}` }, el("b", {}, T.visible(role)), el("div", { class: "text-block", dir: "auto" }, T.visible(content)))),
              el("details", {}, el("summary", {}, "As the model reads it"), el("div", { class: "text-block", dir: "auto" }, T.visible(prompt.prompt)))]
          : el("div", { class: "text-block", dir: "auto", tabindex: 0, role: "region", "aria-label": "Text of the prompt" }, T.visible(prompt.prompt)),
        prompt.cut ? el("div", { class: "text-block cut", dir: "auto" }, el("b", {}, "Cut by the protocol’s limit: "), T.visible(prompt.cut)) : null),
      prompt.references.length
        ? el("section", { class: "references", "aria-label": "References" }, el("h3", {}, prompt.references.length > 1 ? "References" : "Reference"),
            prompt.references.map((text) => el("div", { class: "text-block", dir: "auto" }, T.visible(text))))
        : el("p", { class: "note" }, "No reference."),
    ];
  }

  const value = (x, digits) => (x === null || x === undefined || Number.isNaN(x) ? "–" : x.toFixed(digits));

  // One model's response, with its scores.
  function column(run, document, detailed, tokens, seed) {
    const { index, view } = now, d = view.document, digits = L.decimals(index);
    const responses = document.runs[run.number] ?? [], facts = [];
    const response = responses.find((r) => r.seed === seed) ?? (run.options || run.seeds.length < 2 ? responses[0] : undefined);
    facts.push([`${index.score}, ${responses.length > 1 ? "mean of seeds" : index.unit}`, value(run.score[d], digits)]);
    if (responses.length > 1) facts.push(["this seed", value(response?.scores?.[index.score], digits)]);
    if (view.baseline && run !== view.baseline && !run.teacher) {
      const gap = run.score[d] - view.baseline.score[d];
      facts.push([`against ${view.baseline.label}`, Number.isNaN(gap) ? "–" : `${gap > 0 ? "+" : gap < 0 ? "−" : ""}${Math.abs(gap).toFixed(digits)}`]);
    }
    if (!run.teacher && !Number.isNaN(run.acceptance[d])) facts.push([run.bound ? "acceptance, at most" : "acceptance", value(run.acceptance[d], 2)]);
    if (response?.n_tokens !== undefined && response?.n_tokens !== null) facts.push(["tokens", `${response.n_tokens}${response.finish === "length" ? ", cut at the limit" : ""}`]);
    const details = S.details(detailed?.[response?.seed]), texts = details && tokens.texts[tokens.of[run.number]];
    const body = !response ? el("p", { class: "empty" }, responses.length ? `no response with seed ${seed}` : "no response to this prompt")
      : response.options ? options(response)
      : details ? T.marked(response, details, texts, run, run.teacher || view.token === null ? null : view.token)
      : T.plain(response);
    const other = document.other[run.number];
    const element = el("section", { class: `column${run.teacher ? " teacher" : ""}`, "aria-label": run.label },
      el("h3", {}, run.label, run.teacher ? el("span", { class: "badge" }, "teacher") : run === view.baseline ? el("span", { class: "badge" }, "baseline") : null),
      el("dl", { class: "facts" }, facts.map(([name, text]) => el("div", {}, el("dt", {}, name), el("dd", {}, text)))),
      details && el("p", { class: "sr" }, `This response: ${T.summary(details, texts) ?? "acceptance unknown"}`),
      body,
      other && el("details", {}, el("summary", {}, "This model was asked differently"), el("div", { class: "text-block", dir: "auto" }, T.visible(other.prompt))));
    return { element, marked: Boolean(details) };
  }

  // The options of a task that is scored by likelihood, with their probabilities.
  function options({ options, gold, chosen }) {
    const largest = Math.max(...options.map((o) => o.log_p));
    const weights = options.map((o) => Math.exp(o.log_p - largest)), total = weights.reduce((a, b) => a + b, 0);
    const pick = chosen?.acc;
    return el("table", { class: "options" }, el("caption", {}, options.length > 1 ? "Probabilities of the options" : "Log-probability of the text"),
      el("tbody", {}, options.map((o, i) => el("tr", { class: i === pick ? "own" : null },
        el("th", { scope: "row", dir: "auto" }, T.visible(o.text ?? "the whole text"), gold.includes(i) ? " (right)" : "", i === pick ? " (chosen)" : ""),
        el("td", {}, options.length > 1 ? `${((100 * weights[i]) / total).toFixed(1)} %` : `${o.log_p.toFixed(2)} nats`)))));
  }

  function missing() {
    const lacking = now.view.columns.filter((run) => !run.teacher && !run.details && !run.options);
    if (!lacking.length) return [];
    const names = lacking.map((run) => run.label).join(", ");
    return [el("p", { class: "note" }, lacking.some((run) => run.compared)
      ? `No token details of ${names}. Running kdbench eval with teacher= again adds them; it generates nothing anew.`
      : `No token details of ${names}: kdbench eval with teacher= compares the model with its teacher and stores them.`)];
  }

  function move(by) {
    const { index, view, order } = now ?? {};
    const next = order?.documents[order.documents.indexOf(view.document) + by];
    if (next === undefined) return;
    go({ id: index.ids[next], page: null, token: null }, { replace: true });
  }
  function key({ key: pressed }) {
    if (pressed === "j" || pressed === "ArrowRight") move(1);
    else if (pressed === "k" || pressed === "ArrowLeft") move(-1);
    else if (pressed === "/") document.getElementById("samples-q")?.focus();
    else if (pressed === "Escape") T.hide();
    else return false;
    return true;
  }
  kdbench.page("samples", {
    show: (params, element) => (element.querySelector("#samples") ? show(params, element) : null),
    key,
    keys: [["j or →", "next prompt"], ["k or ←", "previous prompt"], ["/", "search"], ["← → in a response", "next and previous token"], ["↑ ↓ in a response", "rejected tokens"]],
  });
})();
