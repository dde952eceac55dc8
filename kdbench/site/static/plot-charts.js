"use strict";
// Kinds of plots: points with intervals, lines with bands, rows of dots, stacked bars. Each function gives
// the options of Observable Plot for one panel, from (width, shown): shown(name) is false for what is hidden.
kdbench.charts = (() => {
  const { besidePoints, besideEnds, short, widthOf } = kdbench.marks;
  const SVG = "http://www.w3.org/2000/svg";
  const shortNumber = (value) =>
    d3
      .format(value >= 10000 ? ".3~s" : ",.3~r")(value)
      .replace("G", "B");

  // Few ticks of a logarithmic axis: 1, 2 and 5 within two decades, else powers of ten.
  function logTicks([low, high]) {
    const steps = high / low < 100 ? [1, 2, 5] : [1];
    const decades = d3.range(Math.floor(Math.log10(low)), Math.ceil(Math.log10(high)) + 1);
    const ticks = decades
      .flatMap((decade) => steps.map((step) => step * 10 ** decade))
      .filter((tick) => tick >= low && tick <= high);
    return ticks.length > 2 ? ticks : d3.ticks(low, high, 4);
  }

  // What a tip says and how; in a narrow panel it is narrow, so that it fits beside every point.
  const tip = (width) => ({
    title: "title",
    fill: "var(--raised)",
    stroke: "var(--line)",
    lineWidth: width < 450 ? 14 : 20,
  });

  const scales = (marks) => ({
    color: { domain: [...marks.keys()], range: [...marks.values()].map((mark) => mark.colour) },
    symbol: { domain: [...marks.keys()], range: [...marks.values()].map((mark) => mark.symbol) },
  });

  // A link around a label or a point.
  function linked(node, href, label) {
    if (!href) return node;
    const a = document.createElementNS(SVG, "a");
    a.setAttribute("href", href);
    if (label) a.setAttribute("aria-label", label);
    a.append(node);
    return a;
  }
  function textNode(x, y, text, attributes = {}) {
    const node = document.createElementNS(SVG, "text");
    for (const [name, value] of Object.entries({ x, y, ...attributes })) node.setAttribute(name, value);
    node.textContent = text;
    return node;
  }
  function group(nodes, attributes = {}) {
    const g = document.createElementNS(SVG, "g");
    for (const [name, value] of Object.entries(attributes)) g.setAttribute(name, value);
    g.append(...nodes);
    return g;
  }

  // Labels beside points, as a mark of Plot: they need the scales, so they are placed while it draws.
  const pointLabels =
    (points, corners) =>
    (_index, { x, y }, _values, dimensions) => {
      const { width, height, marginLeft: left, marginTop: top, marginRight: right, marginBottom: bottom } = dimensions;
      const placed = points.map((p) => ({ label: p.label, x: x(p.x[0]), y: y(p.y[0]) }));
      const [thick, known] = [3, (ends) => ends[1] !== null && ends[1] !== undefined];
      const box = (x0, x1, y0, y1) => ({
        x: Math.min(x0, x1),
        y: Math.min(y0, y1),
        w: Math.abs(x1 - x0),
        h: Math.abs(y1 - y0),
      });
      const intervals = points.flatMap((p, i) => [
        ...(known(p.x) ? [box(x(p.x[1]), x(p.x[2]), placed[i].y - thick, placed[i].y + thick)] : []),
        ...(known(p.y) ? [box(placed[i].x - thick, placed[i].x + thick, y(p.y[1]), y(p.y[2]))] : []),
      ]);
      const named = corners.map(([anchor, text]) => {
        const w = widthOf(text) + 8;
        return {
          x: anchor.endsWith("left") ? left : width - right - w,
          y: anchor.startsWith("top") ? top : height - bottom - 16,
          w,
          h: 16,
        };
      });
      const labels = besidePoints(placed, [...intervals, ...named], { width, height, left, top, right, bottom });
      const style = { class: "plot-label", "text-anchor": "start", "aria-hidden": "true" };
      return group(
        labels.map((l) => textNode(l.x, l.y, l.text)),
        style,
      );
    };

  // Ends of an axis that holds values and intervals; around an origin, the origin is in the middle.
  function reach(numbers, { origin = null, room = 0.08, least = null, most = null } = {}) {
    const ends = numbers.flatMap(([value, low, high]) => [value, low ?? value, high ?? value]);
    if (origin !== null) {
      const half = 1.25 * Math.max(...ends.map((end) => Math.abs(end - origin))) || 1;
      return [Math.max(least ?? -Infinity, origin - half), Math.min(most ?? Infinity, origin + half)];
    }
    const [low, high] = [Math.min(...ends), Math.max(...ends)];
    const more = room * (high - low) || Math.abs(high) * 0.1 || 1;
    return [low - more, high + more];
  }

  const corner = (anchor, text) =>
    Plot.text([text], {
      text: (t) => t,
      frameAnchor: anchor,
      dx: anchor.endsWith("left") ? 4 : -4,
      dy: anchor.startsWith("top") ? 4 : -4,
      fill: "var(--quiet)",
      fontStyle: "italic",
    });

  // points: [{ name, label, x: [value, low, high], y: …, href, title }]; x and y: Plot's options of a scale.
  const scatter =
    ({ points, marks, x, y, rules = [], corners = [], under = [] }) =>
    (width, shown) => {
      const seen = points.filter((point) => shown(point.name));
      const withEnds = (key) => seen.filter((p) => p[key][1] !== null && p[key][1] !== undefined);
      const dot = (options) => Plot.dot(seen, { x: (p) => p.x[0], y: (p) => p.y[0], ...options });
      const bar = { stroke: "name", strokeWidth: 1.3, strokeOpacity: 0.7 };
      return {
        x: { ticks: Math.max(3, Math.floor(width / 90)), tickSize: 4, ...x },
        y: { ticks: 5, tickSize: 4, grid: true, ...y },
        ...scales(marks),
        marks: [
          ...under,
          ...rules.map((rule) =>
            "x" in rule
              ? Plot.ruleX([rule.x], { stroke: "var(--quiet)" })
              : Plot.ruleY([rule.y], { stroke: "var(--quiet)" }),
          ),
          ...corners.map(([anchor, text]) => corner(anchor, text)),
          Plot.ruleY(withEnds("x"), { y: (p) => p.y[0], x1: (p) => p.x[1], x2: (p) => p.x[2], ...bar }),
          Plot.ruleX(withEnds("y"), { x: (p) => p.x[0], y1: (p) => p.y[1], y2: (p) => p.y[2], ...bar }),
          pointLabels(seen, corners),
          dot({
            symbol: "name",
            fill: "name",
            stroke: (p) => p.name,
            strokeWidth: 1.5,
            r: 5.5,
            href: "href",
            ariaLabel: "title",
          }),
          Plot.tip(seen, Plot.pointer({ x: (p) => p.x[0], y: (p) => p.y[0], ...tip(width) })),
        ],
      };
    };

  // series: [{ name, label, href, points: [{ x, y: [value, low, high], title }] }]
  const lines =
    ({ series, marks, x, y, rules = [], ends = true }) =>
    (width, shown) => {
      const seen = series.filter((one) => shown(one.name) && one.points.length);
      const flat = seen.flatMap((one) => one.points.map((point) => ({ ...point, name: one.name })));
      const band = flat.filter((point) => point.y[1] !== null && point.y[1] !== undefined);
      // Where no interval is known, too few responses are left: the line is thin from there on.
      const parts = seen.flatMap((one) => {
        const without = one.points.findIndex((point) => point.y[1] === null || point.y[1] === undefined);
        const edge = without < 0 || !band.length ? one.points.length : without;
        return [
          { one, points: one.points.slice(0, edge), strokeWidth: 2, strokeOpacity: 1 },
          { one, points: one.points.slice(Math.max(0, edge - 1)), strokeWidth: 1, strokeOpacity: 0.6 },
        ];
      });
      const room =
        ends && seen.length > 1 && seen.length <= 10 && width >= 330
          ? 12 + 1.1 * Math.max(0, ...seen.map((one) => widthOf(short(one.label, 14))))
          : 14;
      return {
        marginRight: room,
        x: { ticks: Math.max(3, Math.floor(width / 90)), tickSize: 4, ...x },
        y: { ticks: 5, tickSize: 4, grid: true, ...y },
        ...scales(marks),
        marks: [
          ...rules.map((rule) => Plot.ruleY([rule.y], { stroke: "var(--quiet)" })),
          Plot.areaY(band, {
            x: "x",
            y1: (p) => p.y[1],
            y2: (p) => p.y[2],
            z: "name",
            fill: "name",
            fillOpacity: 0.09,
          }),
          ...parts
            .filter((part) => part.points.length > 1)
            .map(({ one, points, strokeWidth, strokeOpacity }) =>
              Plot.line(points, {
                x: "x",
                y: (p) => p.y[0],
                stroke: marks.get(one.name).colour,
                strokeDasharray: marks.get(one.name).dash,
                strokeWidth,
                strokeOpacity,
              }),
            ),
          ...seen
            .filter((one) => one.points.length === 1)
            .map((one) => Plot.dot(one.points, { x: "x", y: (p) => p.y[0], fill: marks.get(one.name).colour, r: 3 })),
          ...(room > 14 ? [endLabels(seen, marks)] : []),
          Plot.dot(flat, Plot.pointer({ x: "x", y: (p) => p.y[0], fill: "name", r: 4 })),
          Plot.tip(flat, Plot.pointer({ x: "x", y: (p) => p.y[0], ...tip(width) })),
        ],
      };
    };
  const endLabels =
    (series, marks) =>
    (_index, { x, y }, _values, { width, height, marginRight, marginBottom }) => {
      const ends = series.map((one) => {
        const last =
          one.points.findLast((point) => point.y[1] !== null && point.y[1] !== undefined) ?? one.points.at(-1);
        return { one, x0: x(last.x), y: y(last.y[0]), y0: y(last.y[0]) };
      });
      besideEnds(ends, { bottom: height - marginBottom });
      const at = width - marginRight + 8;
      return group(
        ends.flatMap((end) => {
          const leader = document.createElementNS(SVG, "path");
          leader.setAttribute("d", `M${end.x0 + 3},${end.y0}L${at - 3},${end.y}`);
          leader.setAttribute("class", "plot-leader");
          const text = textNode(at, end.y, short(end.one.label, 14), { dy: "0.32em" });
          return [leader, linked(text, end.one.href, end.one.linkLabel)];
        }),
        { class: "plot-label", "text-anchor": "start" },
      );
    };

  // rows: [{ name, label, value: [value, low, high], href, title }], one under the other.
  const dots =
    ({ rows, marks, x, rules = [] }) =>
    (width, shown) => {
      const seen = rows.filter((row) => shown(row.name));
      const withEnds = seen.filter((row) => row.value[1] !== null && row.value[1] !== undefined);
      return {
        height: 66 + 24 * seen.length,
        marginLeft: labelRoom(seen, width),
        x: { ticks: Math.max(3, Math.floor(width / 110)), tickSize: 4, grid: true, ...x },
        y: { domain: seen.map((row) => row.label), label: null, tickSize: 0, tickFormat: (label) => short(label, 20) },
        ...scales(marks),
        marks: [
          ...rules.map((rule) => Plot.ruleX([rule.x], { stroke: "var(--quiet)" })),
          Plot.ruleY(withEnds, {
            y: "label",
            x1: (r) => r.value[1],
            x2: (r) => r.value[2],
            stroke: "name",
            strokeWidth: 1.5,
          }),
          Plot.dot(seen, {
            y: "label",
            x: (r) => r.value[0],
            symbol: "name",
            fill: "name",
            stroke: (r) => r.name,
            r: 5,
            href: "href",
            ariaLabel: (r) => (r.href ? r.title : null), // only a link takes a name
          }),
          Plot.tip(seen, Plot.pointerY({ y: "label", x: (r) => r.value[0], ...tip(width) })),
        ],
      };
    };
  const labelRoom = (rows, width) =>
    Math.min(width * 0.42, 16 + 1.05 * Math.max(30, ...rows.map((row) => widthOf(short(row.label, 20)))));

  // rows: [{ name, label, href, title, note, parts: [{ from, to, part, text }] }], parts: [[name, colour, textColour]]
  const bars =
    ({ rows, x, colours }) =>
    (width, shown) => {
      const seen = rows.filter((row) => shown(row.name));
      const pieces = seen.flatMap((row) => row.parts.map((part) => ({ ...part, row })));
      const left = labelRoom(seen, width);
      const room = seen.some((row) => row.note) ? 72 : 14;
      const fits = (piece) => (piece.to - piece.from) * (width - left - room) > 6.8 * piece.text.length + 4;
      return {
        height: 66 + 26 * seen.length,
        marginLeft: left,
        marginRight: room,
        x: { tickSize: 4, ticks: 5, ...x },
        y: {
          domain: seen.map((row) => row.label),
          label: null,
          tickSize: 0,
          tickFormat: (label) => short(label, 20),
          padding: 0.18,
        },
        marks: [
          Plot.barX(pieces, {
            y: (p) => p.row.label,
            x1: "from",
            x2: "to",
            fill: (p) => colours.get(p.part)[0],
            stroke: "var(--ground)",
            href: (p) => p.row.href,
            ariaLabel: (p) => p.title,
          }),
          Plot.text(pieces.filter(fits), {
            y: (p) => p.row.label,
            x: (p) => (p.from + p.to) / 2,
            text: "text",
            fill: (p) => colours.get(p.part)[1],
            pointerEvents: "none",
          }),
          Plot.text(
            seen.filter((row) => row.note),
            { y: "label", frameAnchor: "right", dx: 8, textAnchor: "start", text: "note" },
          ),
          Plot.tip(pieces, Plot.pointerY({ y: (p) => p.row.label, x: (p) => (p.from + p.to) / 2, ...tip(width) })),
        ],
      };
    };

  return { scatter, lines, dots, bars, reach, shortNumber, logTicks };
})();
