"use strict";
// The page Fidelity: plots of the report's numbers, whose points lead to their samples.
(() => {
  const { figure, number, interval } = kdbench.plot;
  const { scatter, lines, dots, bars, reach } = kdbench.charts;
  const SHARES = [
    ["RR", "both right"],
    ["WWs", "both wrong, same answer"],
    ["WR", "only the student right"],
    ["RW", "only the teacher right"],
    ["WWd", "both wrong, different answers"],
  ];
  const SHARE_COLOURS = new Map(SHARES.map(([name], i) => [name, [`var(--share-${i + 1})`, `var(--share-text-${i + 1})`]]));
  const TEXTS = { student: "the student's own text", teacher: "the teacher's text", ref: "the reference" };
  let made = false;

  // What the figures share: titles, labels, marks and links.
  function context(data) {
    const titles = new Map(data.tasks.map((task) => [task.name, task.title]));
    const names = data.students.map((student) => student.label);
    return {
      data,
      names,
      title: (task) => titles.get(task) ?? task,
      label: (student) => names[student],
      marks: kdbench.marks.of(names, data.baseline),
      // The average has no samples of its own: the first task is shown. Without samples, the run is.
      link: (task, student) => {
        const { run } = data.students[student];
        const stored = data.samples[student];
        const shown = task === "AVG" ? stored[0] : task;
        return stored.includes(shown) ? kdbench.address("samples", { task: shown, students: run }) : kdbench.address("run", { run });
      },
    };
  }
  const namesIn = (of, rows) => of.names.filter((_, student) => rows.some((row) => row.student === student));
  const panelsOf = (rows, task) => [...new Set(rows.map(task))];
  const columns = (of, more) => [
    { title: "student", value: (row) => of.label(row.student), href: (row) => of.link(row.task, row.student) },
    { title: "task", text: true, value: (row) => of.title(row.task) },
    ...more,
  ];

  function gain(of) {
    const { score, fidelity, baseline } = of.data;
    const all = of.data.points;
    const gains = all.filter((point) => point.gain && point.change);
    const flipped = (axis) => (axis.lower ? ", sign flipped" : "");
    const VIEWS = {
      change: {
        text: `gain against change of fidelity, relative to ${baseline}`,
        rows: gains,
        x: (p) => p.change,
        y: (p) => p.gain,
        xLabel: `change in ${fidelity.name}${flipped(fidelity)}`,
        yLabel: `gain in ${score.name}${flipped(score)}`,
      },
      level: {
        text: `gain against fidelity, relative to ${baseline}`,
        rows: gains,
        x: (p) => p.fidelity,
        y: (p) => p.gain,
        xLabel: fidelity.name,
        yLabel: `gain in ${score.name}${flipped(score)}`,
      },
      levels: { text: "score against fidelity", rows: all, x: (p) => p.fidelity, y: (p) => p.score, xLabel: fidelity.name, yLabel: score.name },
    };
    let order = gains.some((p) => of.label(p.student) !== baseline) ? ["change", "level", "levels"] : ["levels"];
    if (of.data.level && order.length > 1) order = ["level", "change", "levels"];
    const title = order.length > 1 ? "Gain against fidelity" : "Score against fidelity";
    const text = (view, p) =>
      [
        `${of.label(p.student)}, ${of.title(p.task)}`,
        `${score.name} ${interval(p.score, score.decimals)}`,
        `${fidelity.name} ${interval(p.fidelity, fidelity.decimals)}`,
        p.gain && `gain ${interval(p.gain, score.decimals, true)}`,
        p.change && `change of fidelity ${interval(p.change, fidelity.decimals, true)}`,
        p.quadrant,
      ].filter(Boolean).join("\n");
    const chart = (name, task) => {
      const view = VIEWS[name];
      const rows = view.rows.filter((p) => p.task === task);
      const base = rows.find((p) => of.label(p.student) === baseline);
      const rate = fidelity.unit === "rate" ? { least: 0, most: 1 } : {};
      const origin = name === "change" ? 0 : name === "level" && base ? base.fidelity[0] : null;
      const onLevels = name !== "change";
      const xDomain = reach(rows.map(view.x), origin === null ? {} : { origin, ...(onLevels ? rate : {}) });
      const yDomain = reach(rows.map(view.y), name === "levels" ? {} : { origin: 0 });
      return scatter({
        points: rows.map((p) => ({ name: of.label(p.student), label: of.label(p.student), x: view.x(p), y: view.y(p), href: of.link(p.task, p.student), title: text(view, p) })),
        marks: of.marks,
        x: { label: view.xLabel, domain: xDomain, reverse: onLevels && fidelity.lower },
        y: { label: view.yLabel, domain: yDomain, reverse: name === "levels" && score.lower },
        rules: name === "levels" ? [] : [{ y: 0 }, ...(origin === null ? [] : [{ x: origin }])],
        corners: name === "levels" ? [] : [["top-left", "unfaithful gain"], ["top-right", "faithful gain"], ["bottom-left", "unfaithful loss"], ["bottom-right", "faithful loss"]].filter(([, quadrant]) => rows.some((p) => p.quadrant === quadrant)),
      });
    };
    return figure({
      title,
      caption:
        order.length > 1
          ? "Up means a better score than the baseline's. Right means closer to the teacher. Bars are 95 % intervals of paired differences over prompts: if a bar crosses a line, the sign is not certain. A corner is named if a point is in it and neither of its bars crosses a line. A point leads to its samples, or to its run if none are stored."
          : "Up means a better score, right means closer to the teacher. Bars are 95 % intervals over prompts. A point leads to its samples, or to its run if none are stored. With baseline=, the report shows gains.",
      names: namesIn(of, all),
      marks: of.marks,
      choices: order.map((name) => [name, VIEWS[name].text]),
      panels: (name) =>
        panelsOf(VIEWS[name].rows, (p) => p.task).map((task) => ({ title: of.title(task), label: `${VIEWS[name].text}, ${of.title(task)}`, options: chart(name, task) })),
      numbers: () => ({
        caption: `${title}, with 95 % intervals`,
        rows: all,
        columns: columns(of, [
          { title: score.name, value: (p) => interval(p.score, score.decimals) },
          { title: fidelity.name, value: (p) => interval(p.fidelity, fidelity.decimals) },
          ...(order.length > 1
            ? [
                { title: "gain", value: (p) => interval(p.gain, score.decimals, true) },
                { title: "change of fidelity", value: (p) => interval(p.change, fidelity.decimals, true) },
                { title: "quadrant", text: true, value: (p) => p.quadrant ?? "" },
              ]
            : []),
        ]),
      }),
    });
  }

  function byToken(of) {
    const { curve, curves } = of.data;
    const rows = curves.map(([task, student, where, start, stop, x, y]) => ({ task, student, where, start, stop, x, y }));
    const last = Math.max(...rows.map((row) => row.stop));
    const least = Math.min(...rows.flatMap((row) => [row.y[0], row.y[1] ?? row.y[0]]));
    const most = Math.max(...rows.flatMap((row) => [row.y[0], row.y[2] ?? row.y[0]]));
    const tokens = (row) => (row.stop - row.start > 1 ? `tokens ${row.start + 1} to ${row.stop}` : `token ${row.stop}`);
    const text = (row) => `${of.label(row.student)}, ${tokens(row)}\n${interval(row.y, curve.decimals)}\n${row.y[3]} responses`;
    const chart = (task, where) =>
      lines({
        series: of.names.map((name, student) => ({
          name,
          label: name,
          href: of.link(task, student),
          linkLabel: `Samples of ${name}, ${of.title(task)}`,
          points: rows.filter((row) => row.task === task && row.where === where && row.student === student).map((row) => ({ ...row, title: text(row) })),
        })),
        marks: of.marks,
        x: { type: "log", base: 2, label: "token of the response", domain: [1, Math.max(2, last)], tickFormat: (t) => String(t) },
        y: { label: `${curve.name} (${curve.unit})`, domain: [least, most], nice: true },
      });
    const sets = Object.keys(TEXTS).filter((where) => rows.some((row) => row.where === where));
    return figure({
      title: "Fidelity by token",
      caption:
        "How faithful each student is at each token of a response. If curves on the student's own text fall below those on the teacher's text, that is exposure bias. Bands are 95 % intervals; where a line is thin, too few responses are left for one.",
      names: (where) => namesIn(of, rows.filter((row) => row.where === where)),
      marks: of.marks,
      line: true,
      choices: sets.map((where) => [where, `on ${TEXTS[where]}`]),
      panels: (where) =>
        panelsOf(rows.filter((row) => row.where === where), (row) => row.task).map((task) => ({
          title: of.title(task),
          label: `${curve.name} by token on ${TEXTS[where]}, ${of.title(task)}`,
          options: chart(task, where),
        })),
      numbers: (where) => ({
        caption: `${curve.name} by token on ${TEXTS[where]}`,
        rows: rows.filter((row) => row.where === where),
        columns: columns(of, [
          { title: "tokens", value: (row) => (row.stop - row.start > 1 ? `${row.start + 1}–${row.stop}` : row.stop) },
          { title: curve.name, value: (row) => interval(row.y, curve.decimals) },
          { title: "responses", value: (row) => row.y[3] },
        ]),
      }),
    });
  }

  function exposure(of) {
    const rows = of.data.exposure.map(([task, student, x, y]) => ({ task, student, x, y }));
    const last = Math.max(...rows.map((row) => row.x));
    const chart = (task) =>
      lines({
        series: of.names.map((name, student) => ({
          name,
          label: name,
          href: of.link(task, student),
          linkLabel: `Samples of ${name}, ${of.title(task)}`,
          points: rows
            .filter((row) => row.task === task && row.student === student)
            .map((row) => ({ ...row, title: `${name}, up to ${row.x} tokens\n${number(row.y[0], 1)} %\n${row.y[3]} responses` })),
        })),
        marks: of.marks,
        x: { type: "log", base: 2, label: "length of the response in tokens", domain: [1, Math.max(2, last)], tickFormat: (t) => String(t) },
        y: { label: "excess error (%)", nice: true },
        rules: [{ y: 0 }],
      });
    return figure({
      title: "Accumulated exposure error",
      caption:
        "By what percentage more divergence from the teacher accumulates on the student's own text than on the teacher's text, up to each length. Zero means no exposure bias.",
      names: namesIn(of, rows),
      marks: of.marks,
      line: true,
      panels: () => panelsOf(rows, (row) => row.task).map((task) => ({ title: of.title(task), label: `Accumulated exposure error, ${of.title(task)}`, options: chart(task) })),
      numbers: () => ({
        caption: "Accumulated exposure error in percent",
        rows,
        columns: columns(of, [
          { title: "length", value: (row) => row.x },
          { title: "excess error", value: (row) => number(row.y[0], 1) },
          { title: "responses", value: (row) => row.y[3] },
        ]),
      }),
    });
  }

  function band(of) {
    const rows = of.data.bands.flatMap((one) => one.points.map((point) => ({ ...point, task: one.task })));
    const text = (row) =>
      `${of.label(row.student)}, ${of.title(row.task)}\naccuracy ${interval(row.accuracy, 3)}\nagreement ${interval(row.agreement, 3)}\nposition in the band ${number(row.position, 2)}`;
    const chart = (one) => (width, shown) => {
      const points = one.points.map((row) => ({ ...row, task: one.task }));
      return scatter({
        points: points.map((row) => ({ name: of.label(row.student), label: of.label(row.student), x: row.accuracy, y: row.agreement, href: of.link(one.task, row.student), title: text(row) })),
        marks: of.marks,
        x: { label: "accuracy of the student", domain: [0, 1] },
        y: { label: "agreement with the teacher", domain: [0, 1] },
        under: [
          Plot.areaY(one.edges, { x: "0", y1: "1", y2: "2", fill: "var(--band)" }),
          Plot.line([[0, 0], [1, one.teacher]], { x: "0", y: "1", stroke: "var(--text)", strokeDasharray: "2 3" }),
          Plot.ruleX([one.teacher], { stroke: "var(--quiet)" }),
          ...(one.ceiling === null ? [] : [Plot.ruleY([one.ceiling], { stroke: "var(--quiet)", strokeDasharray: "6 4" })]),
        ],
      })(width, shown);
    };
    return figure({
      title: "Agreement within its band",
      caption:
        "Two models that are often right often agree, even if they have nothing else in common: given the two accuracies, agreement can only lie in the shaded band. Read the position within the band, not the height. Dotted: right answers independent and wrong ones never equal. Upright line: accuracy of the teacher. Dashed: agreement of the teacher with itself.",
      names: namesIn(of, rows),
      marks: of.marks,
      panels: () => of.data.bands.map((one) => ({ title: of.title(one.task), label: `Agreement against accuracy, ${of.title(one.task)}`, options: chart(one) })),
      numbers: () => ({
        caption: "Accuracy, agreement and the band",
        rows,
        columns: columns(of, [
          { title: "accuracy", value: (row) => interval(row.accuracy, 3) },
          { title: "agreement", value: (row) => interval(row.agreement, 3) },
          { title: "band", value: (row) => `${number(row.low, 3)} to ${number(row.high, 3)}` },
          { title: "position", value: (row) => number(row.position, 2) },
        ]),
      }),
    });
  }

  const pText = (p) => (p === null ? "" : p < 0.001 ? "p < .001" : `p = ${p.toFixed(3).replace(/^0/, "")}`);
  function cells(of) {
    const rows = of.data.cells;
    const bar = (row) => {
      let from = 0;
      const parts = row.shares.map((share, i) => {
        const [name, meaning] = SHARES[i];
        const part = { from, to: from + share, part: name, text: `${name} ${share.toFixed(2).replace(/^0/, "")}`, title: `${of.label(row.student)}, ${of.title(row.task)}\n${name}, ${meaning}: ${share.toFixed(3)}` };
        from += share;
        return part;
      });
      return { name: of.label(row.student), label: of.label(row.student), href: of.link(row.task, row.student), note: pText(row.p), parts: parts.filter((part) => part.to > part.from) };
    };
    return figure({
      title: "Right and wrong together",
      caption:
        "Shares of the pairs of answers. RR and WWs are agreement; WWs, the same mistakes, is the part that knowing the right answer does not explain. WR: only the student is right. RW: only the teacher is right. WWd: both are wrong, with different answers. p is that of McNemar's exact test that WR and RW differ only by chance.",
      names: namesIn(of, rows),
      marks: of.marks,
      wide: true,
      panels: () =>
        panelsOf(rows, (row) => row.task).map((task) => ({
          title: of.title(task),
          label: `Right and wrong answers, ${of.title(task)}`,
          options: bars({ rows: rows.filter((row) => row.task === task).map(bar), x: { label: "share of answers", domain: [0, 1] }, colours: SHARE_COLOURS }),
        })),
      numbers: () => ({
        caption: "Shares of right and wrong answers",
        rows,
        columns: columns(of, [
          ...SHARES.map(([name], i) => ({ title: name, value: (row) => number(row.shares[i], 3) })),
          { title: "prompts", value: (row) => row.n },
          { title: "p", value: (row) => number(row.p, 3) },
        ]),
      }),
    });
  }

  function calibration(of) {
    const rows = of.data.calibration.map(([task, student, metric, error]) => ({ task, student, metric, error }));
    const isError = (metric) => metric.startsWith("ece");
    const metrics = panelsOf(rows, (row) => row.metric).sort((a, b) => isError(b) - isError(a));
    const most = (metric) => Math.max(...rows.filter((row) => row.metric === metric).flatMap((row) => [row.error[0], row.error[2] ?? 0]));
    return figure({
      title: "Calibration",
      caption:
        "How far a student's confidence in its tokens is from how often they are right: 0 is best. ece@ref compares with the reference, ece_teacher with the teacher's likeliest token, confidence_gap with the teacher's confidence. Bars are 95 % intervals over prompts.",
      names: (metric) => namesIn(of, rows.filter((row) => row.metric === metric)),
      marks: of.marks,
      low: true,
      choices: metrics.map((metric) => [metric, metric]),
      panels: (metric) =>
        panelsOf(rows.filter((row) => row.metric === metric), (row) => row.task).map((task) => ({
          title: of.title(task),
          label: `${metric}, ${of.title(task)}`,
          options: dots({
            rows: rows
              .filter((row) => row.metric === metric && row.task === task)
              .map((row) => ({ name: of.label(row.student), label: of.label(row.student), value: row.error, href: of.link(task, row.student), title: `${of.label(row.student)}, ${of.title(task)}\n${metric} ${interval(row.error, 3)}` })),
            marks: of.marks,
            x: { label: metric, domain: [0, most(metric) * 1.05 || 1] },
          }),
        })),
      numbers: (metric) => ({
        caption: `${metric}, with 95 % intervals`,
        rows: rows.filter((row) => row.metric === metric),
        columns: columns(of, [{ title: metric, value: (row) => interval(row.error, 3) }, { title: "prompts", value: (row) => row.error[3] }]),
      }),
    });
  }

  async function show(_params, element) {
    if (made) return;
    made = true;
    const of = context(await kdbench.load("fidelity"));
    const { data } = of;
    const figures = [
      data.points.length && gain,
      data.bands.length && band,
      data.cells.length && cells,
      data.curves.length && byToken,
      data.exposure.length && exposure,
      data.calibration.length && calibration,
    ];
    element.querySelector('[data-plots="fidelity"]').append(...figures.filter(Boolean).map((draw) => draw(of)));
  }
  kdbench.page("fidelity", { show });
})();
