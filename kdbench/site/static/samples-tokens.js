"use strict";
// A response as text: tokens marked by acceptance, with what the teacher would have written there.
const kdbenchTokens = (() => {
  const { el } = kdbench;
  const LONGEST = 20000, MOST = 3000; // characters and tokens that are shown at first
  // Lowest acceptance of each step, its class, and its words; the marks differ without colour, too.
  const STEPS = [[0.9, "a4", "0.9 to 1"], [0.7, "a3", "0.7 to 0.9"], [0.4, "a2", "0.4 to 0.7"], [0.1, "a1", "0.1 to 0.4"], [0, "a0", "below 0.1"]];
  const step = (acceptance) => (acceptance === null ? "unknown" : STEPS.find(([least]) => acceptance >= least)[1]);
  const number = (p, digits = 2) => (p === null ? "unknown" : p.toFixed(digits));
  const percent = (p) => (p === null ? "unknown" : p < 0.01 ? "below 1 %" : `${Math.round(100 * p)} %`);

  // What a terminal or the bidi algorithm would obey is spelled out. Lines and tabs stay.
  const OBEYED = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]/g;
  const visible = (text) => text.replace(OBEYED, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`);
  const named = (text) => visible(text).replaceAll("\n", "\\n").replaceAll("\t", "\\t");

  function name(text) {
    if (typeof text === "string") return named(text);
    if (typeof text?.[0] === "string") return named(text[0]);
    return (text ?? []).map((byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`).join("") || "unknown token";
  }

  // Tokens joined until they are whole characters: { text, special, tokens: [index, …] }.
  function units(details, texts) {
    const found = [], decoder = new TextDecoder("utf-8", { fatal: true });
    let bytes = [], pending = [];
    const drop = () => {
      for (const i of pending) found.push({ text: name(texts[details.token(i)]), special: true, tokens: [i] });
      bytes = []; pending = [];
    };
    for (let i = 0; i < details.length; i++) {
      const text = texts[details.token(i)];
      if (Array.isArray(text) && typeof text[0] === "number") {
        bytes.push(...text);
        pending.push(i);
        try {
          found.push({ text: decoder.decode(new Uint8Array(bytes)), special: false, tokens: pending });
          bytes = []; pending = [];
        } catch {
          if (bytes.length > 16) drop(); // no character is that long
        }
        continue;
      }
      drop();
      const plain = typeof text === "string";
      found.push({ text: plain ? text : name(text), special: !plain, tokens: [i] });
    }
    drop();
    return found;
  }
  const lowest = (details, unit) => unit.tokens.reduce((low, i) => {
    const a = details.acceptance(i);
    return a !== null && (low === null || a < low) ? a : low;
  }, null);

  // The one panel of the page, shown at the token that has the pointer or the focus.
  let panel = null, pinned = null;
  function fill(details, texts, unit, run) {
    const parts = unit.tokens.map((i) => {
      const likely = details.likely(i), own = details.token(i);
      return [
        el("p", {}, el("b", {}, el("code", {}, name(texts[own]))), ` token ${i + 1} of ${details.length}`),
        el("dl", {},
          el("dt", {}, run.bound ? "acceptance, at most" : "acceptance"), el("dd", {}, number(details.acceptance(i))),
          el("dt", {}, "student’s probability"), el("dd", {}, percent(details.student(i))),
          el("dt", {}, run.aligned ? "teacher’s, up to the next common token" : "teacher’s probability"), el("dd", {}, percent(details.teacher(i)))),
        likely.length
          ? el("table", {}, el("caption", {}, "The teacher’s likeliest tokens here"),
              el("tbody", {}, likely.map(([id, p]) => el("tr", { class: id === own ? "own" : null },
                el("th", { scope: "row" }, el("code", {}, name(texts[id])), id === own ? " (written)" : ""),
                el("td", {}, percent(p)), el("td", { "aria-hidden": "true" }, el("meter", { min: 0, max: 1, value: p ?? 0, tabindex: -1, "aria-label": "probability" }))))))
          : el("p", {}, "The teacher’s tokenizer begins no token here."),
      ];
    });
    panel.replaceChildren(...parts.flat());
  }
  function show(token, { details, texts, unit, run }) {
    panel ??= document.body.appendChild(el("div", { class: "token-panel", role: "status", "aria-live": "polite" }));
    fill(details, texts, unit, run);
    panel.classList.add("shown");
    const at = token.getClientRects()[0] ?? token.getBoundingClientRect(), width = panel.offsetWidth, height = panel.offsetHeight;
    const below = at.bottom + height + 8 < window.innerHeight || at.top < height + 8;
    panel.style.left = `${Math.max(8, Math.min(at.left, document.documentElement.clientWidth - width - 8)) + window.scrollX}px`;
    panel.style.top = `${(below ? at.bottom + 6 : at.top - height - 6) + window.scrollY}px`;
  }
  function hide() {
    pinned = null;
    panel?.classList.remove("shown");
  }

  // Listeners for all tokens of a response; one is in the tab order, arrows move to the others.
  function interactive(box, unitOf, context) {
    const token = (event) => event.target.closest?.(".tok");
    const open = (element) => show(element, { ...context, unit: unitOf.get(element) });
    const focus = (element) => {
      box.querySelector(".tok[tabindex='0']")?.setAttribute("tabindex", "-1");
      element.setAttribute("tabindex", "0");
      element.focus();
    };
    box.addEventListener("pointerover", (event) => { if (!pinned && event.pointerType === "mouse" && token(event)) open(token(event)); });
    box.addEventListener("pointerleave", () => { if (!pinned) hide(); });
    box.addEventListener("focusin", (event) => { if (token(event)) { pinned = token(event); open(pinned); } });
    box.addEventListener("focusout", hide);
    box.addEventListener("click", (event) => { if (token(event)) focus(token(event)); });
    box.addEventListener("keydown", (event) => {
      const all = [...box.querySelectorAll(".tok")].filter((t) => t.offsetParent !== null), at = all.indexOf(token(event));
      if (at < 0) return;
      const low = (from, by) => { let i = from + by; while (all[i] && !all[i].matches(".a0, .a1, .a2")) i += by; return all[i]; };
      const to = { ArrowRight: all[at + 1], ArrowLeft: all[at - 1], ArrowDown: low(at, 1), ArrowUp: low(at, -1), Home: all[0], End: all[all.length - 1] }[event.key];
      if (event.key === "Escape") hide();
      else if (!to) return;
      else focus(to);
      event.preventDefault();
      event.stopPropagation();
    });
  }

  function unitElement(unit, details) {
    const acceptance = lowest(details, unit);
    // A line break has no width; the mark gives it some.
    const text = unit.special ? unit.text : visible(unit.text).replace(/^\n/, "↵\n");
    return el("span", { class: `tok ${step(acceptance)}${unit.special ? " special" : ""}`, tabindex: -1 }, text);
  }
  function long(box, rest, what) {
    if (!rest.length) return;
    const more = el("button", { type: "button" }, `Show the other ${rest.length.toLocaleString("en")} ${what}`);
    more.addEventListener("click", () => more.replaceWith(...rest.map((make) => make())));
    box.append(more);
  }
  function folded(summary, content) {
    return content.length ? el("details", { class: "thinking" }, el("summary", {}, summary), content) : null;
  }

  // A response without token details.
  function plain(response) {
    const output = response.output ?? "", start = response.answer_start ?? 0;
    const cut = start ? [...output].slice(0, start).join("").length : 0; // Python counts characters
    const box = el("div", { class: "response" });
    const thinking = folded("Thinking", cut ? [visible(output.slice(0, cut))] : []);
    const answer = output.slice(cut);
    if (thinking) box.append(thinking);
    box.append(visible(answer.slice(0, LONGEST)));
    if (answer.length > LONGEST) {
      const more = el("button", { type: "button" }, `Show the other ${(answer.length - LONGEST).toLocaleString("en")} characters`);
      more.addEventListener("click", () => more.replaceWith(visible(answer.slice(LONGEST))));
      box.append(more);
    }
    if (!answer.trim()) box.append(el("em", { class: "empty" }, "empty response"));
    return box;
  }

  // A response with its tokens. `focused` is the index of a token to show at once.
  function marked(response, details, texts, run, focused = null) {
    const all = units(details, texts), spelled = all.filter((u) => !u.special).map((u) => u.text).join("");
    const output = response.output ?? "", agrees = spelled.trim() === output.trim() || spelled.trimStart().startsWith(output.trim());
    const box = el("div", { class: "response tokens", role: "group", "aria-label": `Response of ${run.label} by token; arrow keys move between tokens, up and down between rejected ones` });
    const unitOf = new Map(), start = response.answer_start ?? 0;
    let characters = spelled.startsWith(" ") && !output.startsWith(" ") ? -1 : 0;
    const thinking = [], answer = [];
    for (const unit of all) {
      const make = () => { const element = unitElement(unit, details); unitOf.set(element, unit); return element; };
      (start && characters < start ? thinking : answer).push(make);
      if (!unit.special) characters += [...unit.text].length;
    }
    const fold = folded(`Thinking, ${thinking.length} tokens`, thinking.map((make) => make()));
    if (fold) box.append(fold);
    box.append(...answer.slice(0, MOST).map((make) => make()));
    long(box, answer.slice(MOST), "tokens");
    box.querySelector(".tok")?.setAttribute("tabindex", "0");
    interactive(box, unitOf, { details, texts, run });
    if (!agrees) box.append(el("details", {}, el("summary", {}, "As text"), el("div", { class: "spelled" }, visible(output.slice(0, LONGEST)))));
    if (focused !== null) {
      const target = [...unitOf].find(([, unit]) => unit.tokens.includes(focused))?.[0];
      target?.classList.add("sought");
    }
    return box;
  }

  function legend() {
    return el("p", { class: "legend" }, "Acceptance by the teacher: ",
      STEPS.map(([, kind, words]) => [el("span", { class: `tok ${kind}` }, words), " "]));
  }
  // Mean and lowest acceptance in words, for those who do not see the marks.
  function summary(details, texts) {
    let low = null, at = 0, total = 0, n = 0;
    for (let i = 0; i < details.length; i++) {
      const a = details.acceptance(i);
      if (a === null) continue;
      total += a; n++;
      if (low === null || a < low) { low = a; at = i; }
    }
    if (!n) return null;
    return `acceptance ${(total / n).toFixed(2)}, lowest ${low.toFixed(2)} at ${name(texts[details.token(at)])}`;
  }
  window.addEventListener("scroll", () => { if (!pinned) hide(); }, { passive: true });
  return { plain, marked, legend, summary, name, visible, hide, number };
})();
