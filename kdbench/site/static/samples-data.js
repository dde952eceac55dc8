"use strict";
// Data of the page Samples: packed by Python as gzip in base64, unpacked by the browser.
const kdbenchSamples = (() => {
  const HAS = 1, CUT = 2, EMPTY = 4, RIGHT = 8, WRONG = 16, BETTER = 32, WORSE = 64;
  const KEPT = 24; // pages of texts in memory
  const indices = new Map(), pages = new Map();

  function bytes(text) {
    const raw = atob(text), out = new Uint8Array(raw.length);
    for (let i = 0; i < raw.length; i++) out[i] = raw.charCodeAt(i);
    return out;
  }
  async function unpack(text) {
    if (!("DecompressionStream" in window)) throw new Error("This browser cannot unpack gzip; use one from 2023 or later.");
    const stream = new Blob([bytes(text)]).stream().pipeThrough(new DecompressionStream("gzip"));
    return JSON.parse(await new Response(stream).text());
  }
  async function value(name) {
    const packed = await kdbench.load(name);
    kdbench.forget(name);
    return unpack(packed);
  }
  // A column of numbers; copied, since its bytes need not lie where its type wants them.
  const column = (Type, text) => new Type(bytes(text).buffer);

  // Everything of a task but its texts. `order` etc. work on numbers of documents, 0 to count - 1.
  function index(task) {
    if (!indices.has(task.data)) indices.set(task.data, load(task));
    return indices.get(task.data);
  }
  async function load(task) {
    const raw = await value(`${task.data}.index`);
    const found = {
      ...raw,
      task,
      count: raw.ids.length,
      category: raw.category && column(Int16Array, raw.category),
      numbers: new Map(raw.ids.map((id, number) => [id, number])),
      heads: null,
      tokens: null,
      runs: raw.runs.map((run, number) => ({
        ...run,
        number,
        score: column(Float32Array, run.score),
        acceptance: column(Float32Array, run.acceptance),
        length: column(Uint16Array, run.length),
        flags: column(Uint8Array, run.flags),
      })),
    };
    found.byName = new Map(found.runs.map((run) => [run.run, run]));
    return found;
  }
  const heads = (index) => (index.heads ??= value(`${index.task.data}.heads`));
  const tokens = (index) => (index.tokens ??= value(`${index.task.data}.tokens`));

  // A page of texts, or of token details; the last ones used stay in memory.
  function texts(index, number, kind = "") {
    const name = `${index.task.data}.${number}${kind}`;
    const known = pages.get(name) ?? value(name);
    pages.delete(name);
    pages.set(name, known);
    if (pages.size > KEPT) pages.delete(pages.keys().next().value);
    return known;
  }
  async function part(index, number, kind) {
    const page = await texts(index, Math.floor(number / index.page), kind);
    return page[number % index.page];
  }
  const document = (index, number) => part(index, number);
  // By number of the run and seed, if any run has them.
  const detailed = (index, number) => (index.runs.some((run) => run.details) ? part(index, number, ".tokens") : {});

  // Token details of a response: typed columns over its tokens (see kdbench.store.token_details).
  function details(raw) {
    if (!raw) return null;
    const [tokens, acceptance, student, teacher, listed, likely, likelyP] = raw.map(bytes);
    const wide = tokens.length > 2 * acceptance.length;
    const ids = (column) => (wide ? new Uint32Array(column.buffer) : new Uint16Array(column.buffer));
    const rate = (byte) => (byte === 255 ? null : byte / 250);
    const starts = [0];
    for (const n of listed) starts.push(starts[starts.length - 1] + n);
    const [own, top] = [ids(tokens), ids(likely)];
    return {
      length: acceptance.length,
      token: (i) => own[i],
      acceptance: (i) => rate(acceptance[i]),
      student: (i) => rate(student[i]),
      teacher: (i) => rate(teacher[i]),
      likely: (i) => Array.from(top.subarray(starts[i], starts[i + 1]), (id, k) => [id, rate(likelyP[starts[i] + k])]),
    };
  }

  // Orders of documents. Each gives a number by which the largest comes first, NaN last.
  const sign = (index) => (index.lower ? -1 : 1);
  const over = (runs, f) => runs.reduce((most, run) => { const v = f(run); return v > most || Number.isNaN(most) ? v : most; }, NaN);
  const SORTS = {
    loss: {
      label: "Loss against the baseline",
      key: (index, { shown, baseline }) => (d) => over(shown.filter((r) => r !== baseline), (r) => sign(index) * (baseline.score[d] - r.score[d])),
      needs: "baseline",
    },
    gain: {
      label: "Gain against the baseline",
      key: (index, { shown, baseline }) => (d) => over(shown.filter((r) => r !== baseline), (r) => sign(index) * (r.score[d] - baseline.score[d])),
      needs: "baseline",
    },
    agreement: { label: "Least agreement with the teacher", key: (index, { shown }) => (d) => over(shown, (r) => -r.acceptance[d]), needs: "agreement" },
    teacher: {
      label: "Teacher minus student",
      key: (index, { shown, teacher }) => (d) => over(shown, (r) => sign(index) * (teacher.score[d] - r.score[d])),
      needs: "teacher",
    },
    worst: { label: "Worst score", key: (index, { shown }) => (d) => over(shown, (r) => -sign(index) * r.score[d]) },
    longest: { label: "Longest response", key: (index, { shown }) => (d) => over(shown, (r) => (r.length[d] === 65535 ? NaN : r.length[d])) },
    shortest: { label: "Shortest response", key: (index, { shown }) => (d) => over(shown, (r) => (r.length[d] === 65535 ? NaN : -r.length[d])) },
    data: { label: "Order of the data", key: () => (d) => -d },
  };
  const FILTERS = {
    cut: ["Cut at the limit", (bits) => bits & CUT],
    empty: ["Empty", (bits) => bits & EMPTY],
    right: ["Right", (bits) => bits & RIGHT],
    wrong: ["Wrong", (bits) => bits & WRONG],
    better: ["Preferred by the judge", (bits) => bits & BETTER],
    worse: ["Not preferred by the judge", (bits) => bits & WORSE],
  };
  // The numbers of the documents to list, in order, each with the number it was ordered by.
  function order(index, view) {
    const holds = view.flag && FILTERS[view.flag][1];
    const kept = [];
    for (let d = 0; d < index.count; d++) {
      if (view.category !== null && index.category?.[d] !== view.category) continue;
      if (!view.shown.some((run) => run.flags[d] & HAS)) continue;
      if (holds && !view.shown.some((run) => holds(run.flags[d]))) continue;
      if (view.hits && !view.hits.has(d)) continue;
      kept.push(d);
    }
    const key = SORTS[view.sort].key(index, view);
    const keys = new Float64Array(index.count);
    for (const d of kept) { const k = key(d); keys[d] = Number.isNaN(k) ? -Infinity : k; }
    kept.sort((a, b) => (keys[b] - keys[a] || a - b));
    return { documents: kept, keys };
  }
  const can = (sort, view) => ({ baseline: view.baseline && view.shown.some((r) => r !== view.baseline), teacher: view.teacher,
    agreement: view.shown.some((r) => r.agreement !== null) }[SORTS[sort].needs] ?? !SORTS[sort].needs);
  const flags = (index) => Object.keys(FILTERS).filter((name) => index.runs.some((run) => run.flags.some((bits) => FILTERS[name][1](bits))));

  // Search in prompts, references and responses, page by page, so that the browser stays awake.
  async function search(index, words, { signal, progress }) {
    const hits = new Set(), needle = words.toLowerCase();
    const holds = (text) => text && text.toLowerCase().includes(needle);
    for (let page = 0; page < index.task.pages; page++) {
      const name = `${index.task.data}.${page}`;
      const documents = await (pages.get(name) ?? value(name));
      if (signal.aborted) return null;
      documents.forEach((document, place) => {
        const { asked } = document, number = page * index.page + place;
        const found = holds(index.ids[number]) || (asked && (holds(asked.prompt) || asked.references.some(holds))) ||
          Object.values(document.runs).some((responses) => responses.some((r) => holds(r.output) || r.options?.some((o) => holds(o.text))));
        if (found) hits.add(number);
      });
      progress(page + 1, hits);
      if (page % 4 === 3) await new Promise((resolve) => setTimeout(resolve));
    }
    return hits;
  }
  return { index, heads, tokens, document, detailed, details, order, can, flags, search, SORTS, FILTERS, HAS, CUT, EMPTY };
})();
