"use strict";
// Plots: a figure with a key, panels drawn by Observable Plot, and its numbers as a table.
kdbench.plot = (() => {
  const { el } = kdbench;
  const LIBRARIES = ["vendor/d3.min.js", "vendor/plot.umd.min.js"];
  const HEIGHT = 280;
  let drawn = 0; // for ids

  async function loadLibraries() {
    for (const file of LIBRARIES) await kdbench.library(file); // the second needs the first
  }

  // Numbers: rounded as in tables; [value, low, high, n] with its interval.
  function number(value, decimals) {
    return value === null || value === undefined ? "–" : value.toFixed(decimals).replace(/^-(?=[0.]*$)/, "");
  }
  function interval(numbers, decimals, sign = false) {
    if (!numbers || numbers[0] === null) return "–";
    const [value, low, high] = numbers;
    const plus = sign && value > 0 ? "+" : "";
    const ends = low === null || high === null ? "" : ` [${number(low, decimals)}, ${number(high, decimals)}]`;
    return `${plus}${number(value, decimals)}${ends}`;
  }

  // One panel. Plot's style element is removed: plot.css has its rules, and the policy forbids it.
  function panel(options, width, label) {
    const svg = Plot.plot({
      width,
      height: HEIGHT,
      marginLeft: 48,
      marginBottom: 40,
      marginTop: 26,
      marginRight: 14,
      ...options,
      className: "plot",
      style: { fontSize: "12px", fontFamily: "inherit", background: "none", overflow: "visible", color: "var(--text)" },
    });
    for (const style of svg.querySelectorAll("style")) style.remove();
    for (const link of svg.querySelectorAll("a")) {
      const named = link.querySelector("[aria-label]"); // a link takes no name from a path
      if (!named) continue;
      link.setAttribute("aria-label", named.getAttribute("aria-label").replaceAll("\n", "; "));
      named.removeAttribute("aria-label");
    }
    // A group, not an image: its points are links.
    for (const part of svg.querySelectorAll("g[aria-label], g[aria-description]")) {
      part.removeAttribute("aria-label");
      part.removeAttribute("aria-description");
    }
    svg.setAttribute("role", "group");
    svg.setAttribute("aria-label", label);
    return svg;
  }

  // The key: buttons that hide and show a student, with its symbol and dashes.
  function key(names, marks, hidden, changed, line) {
    return el(
      "ul",
      { class: "plot-key", "aria-label": "Shown in the plots" },
      names.map((name) => {
        const button = el(
          "button",
          { type: "button", "aria-pressed": String(!hidden.has(name)), title: name },
          swatch(marks.get(name), line),
          kdbench.marks.short(name, 36),
        );
        button.addEventListener("click", () => {
          if (!hidden.delete(name)) hidden.add(name);
          button.setAttribute("aria-pressed", String(!hidden.has(name)));
          changed();
        });
        return el("li", {}, button);
      }),
    );
  }
  function swatch(mark, line) {
    const svg = d3
      .create("svg")
      .attr("width", line ? 30 : 14)
      .attr("height", 14)
      .attr("aria-hidden", "true");
    const middle = line ? 15 : 7;
    if (line)
      svg
        .append("path")
        .attr("d", "M1,7H29")
        .attr("stroke", mark.colour)
        .attr("stroke-width", 2)
        .attr("stroke-dasharray", mark.dash);
    else {
      const type =
        { times: d3.symbolTimes, hexagon: hexagon }[mark.symbol] ??
        d3[`symbol${mark.symbol[0].toUpperCase()}${mark.symbol.slice(1)}`];
      const drawnAs = mark.symbol === "times" ? "stroke" : "fill";
      svg
        .append("path")
        .attr("transform", `translate(${middle},7)`)
        .attr("d", d3.symbol(type, 70)())
        .attr("fill", "none")
        .attr(drawnAs, mark.colour)
        .attr("stroke-width", 2);
    }
    return svg.node();
  }
  const hexagon = {
    draw(context, size) {
      const r = Math.sqrt(size / Math.PI);
      for (let i = 0; i < 6; i++)
        context[i ? "lineTo" : "moveTo"](r * Math.sin((i * Math.PI) / 3), r * Math.cos((i * Math.PI) / 3));
      context.closePath();
    },
  };

  // The numbers as a table, made when it is opened.
  function table({ caption, columns, rows }) {
    const cell = (row, { value, text, href }, first) => {
      const shown = href ? el("a", { href: href(row) }, value(row)) : value(row);
      return first ? el("th", { scope: "row" }, shown) : el("td", { class: text ? "text" : null }, shown);
    };
    return el(
      "div",
      { class: "scroll", tabindex: "0", role: "region", "aria-label": `${caption}: numbers` },
      el(
        "table",
        {},
        el("caption", {}, caption),
        el(
          "thead",
          {},
          el(
            "tr",
            {},
            columns.map((c, i) => el("th", { scope: "col", class: c.text || !i ? "text" : null }, c.title)),
          ),
        ),
        el(
          "tbody",
          {},
          rows.map((row) =>
            el(
              "tr",
              {},
              columns.map((c, i) => cell(row, c, i === 0)),
            ),
          ),
        ),
      ),
    );
  }
  function tableDetails(made) {
    const element = el("details", { class: "plot-table" }, el("summary", {}, "Numbers"));
    const renew = () => {
      element.querySelector(".scroll")?.remove();
      if (element.open) element.append(table(made()));
    };
    element.addEventListener("toggle", renew);
    return { element, renew };
  }

  // A figure. `panels(choice)` gives [{ title, label, options(width, shown) }], drawn anew for each width.
  function figure({
    title,
    caption,
    names = [],
    marks,
    line = false,
    wide = false,
    low = false,
    choices = [],
    note,
    panels,
    numbers,
  }) {
    const id = `plot-${++drawn}`;
    const hidden = new Set();
    const box = el("div", { class: `panels${wide ? " wide" : ""}${low ? " low" : ""}` });
    const choice = { value: choices[0]?.[0] };
    let width = 0;
    const redraw = () => {
      const shown = (name) => !hidden.has(name);
      const listed = panels(choice.value);
      if (note) noteBox.textContent = note(choice.value);
      const old = [...box.children];
      if (old.length !== listed.length) box.replaceChildren(...listed.map(() => el("div", { class: "panel" })));
      listed.forEach((made, i) => {
        const holder = box.children[i];
        const room = holder.clientWidth;
        if (room < 50) return;
        const heading = made.title ? [el("h3", {}, made.title)] : [];
        holder.replaceChildren(...heading, panel(made.options(room, shown), room, made.label));
      });
    };
    const keyBox = el("div", {});
    const noteBox = el("p", { class: "plot-note", "aria-live": "polite" });
    const observer = new ResizeObserver(() => {
      if (Math.abs(box.clientWidth - width) < 2) return;
      width = box.clientWidth;
      if (width) redraw();
    });
    const renewKey = () => {
      const listed = typeof names === "function" ? names(choice.value) : names;
      keyBox.replaceChildren(...(listed.length > 1 ? [key(listed, marks, hidden, redraw, line)] : []));
    };
    const details = tableDetails(() => numbers(choice.value));
    const parts = [el("h2", { id }, title), el("p", {}, caption)];
    const choose = () => {
      renewKey();
      redraw();
      details.renew();
    };
    if (choices.length > 1) parts.push(picker(choices, choice, choose, title));
    const made = el(
      "figure",
      { class: "plot-figure", "aria-labelledby": id },
      parts,
      keyBox,
      box,
      note ? noteBox : [],
      details.element,
    );
    loadLibraries().then(
      () => {
        renewKey();
        observer.observe(box);
      },
      (error) => box.replaceChildren(el("p", { class: "failure", role: "alert" }, error.message)),
    );
    return made;
  }
  function picker(choices, choice, redraw, title) {
    const select = el(
      "select",
      { "aria-label": `${title}: what to show` },
      choices.map(([value, text]) => el("option", { value }, text)),
    );
    select.addEventListener("change", () => {
      choice.value = select.value;
      redraw();
    });
    return el("p", { class: "plot-choice" }, select);
  }

  return { figure, number, interval };
})();
