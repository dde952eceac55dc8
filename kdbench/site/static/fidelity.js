"use strict";
// The page Fidelity: plots of the report's numbers, whose points lead to their samples.
(() => {
  const { figure, number, interval } = kdbench.plot;
  const { scatter, lines, dots, reach } = kdbench.charts;
  const { band, cells } = kdbench.answers;
  const TEXTS = { student: "the student's own text", teacher: "the teacher's text", ref: "the reference" };
  let made = false;

  // What the figures share: titles, labels, marks and links.
  function context(data) {
    const titles = new Map(data.tasks.map((task) => [task.name, task.title]));
    const names = data.students.map((student) => student.label);
    const of = {
      data,
      names,
      namesIn: (rows) => names.filter((_, student) => rows.some((row) => row.student === student)),
      tasksIn: (rows) => [...new Set(rows.map((row) => row.task))],
      columns: (more) => [
        { title: "student", value: (row) => of.label(row.student), href: (row) => of.link(row.task, row.student) },
        { title: "task", text: true, value: (row) => of.title(row.task) },
        ...more,
      ],
      title: (task) => titles.get(task) ?? task,
      label: (student) => names[student],
      marks: kdbench.marks.of(names, data.baseline),
      // The average has no samples of its own: the first task is shown. Without samples, the run is.
      link: (task, student) => {
        const { run } = data.students[student];
        const stored = data.samples[student];
        const shown = task === "AVG" ? stored[0] : task;
        return stored.includes(shown)
          ? kdbench.address("samples", { task: shown, students: run })
          : kdbench.address("run", { run });
      },
    };
    return of;
  }

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
      levels: {
        text: "score against fidelity",
        rows: all,
        x: (p) => p.fidelity,
        y: (p) => p.score,
        xLabel: fidelity.name,
        yLabel: score.name,
      },
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
      ]
        .filter(Boolean)
        .join("\n");
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
        points: rows.map((p) => ({
          name: of.label(p.student),
          label: of.label(p.student),
          x: view.x(p),
          y: view.y(p),
          href: of.link(p.task, p.student),
          title: text(view, p),
        })),
        marks: of.marks,
        x: { label: view.xLabel, domain: xDomain, reverse: onLevels && fidelity.lower },
        y: { label: view.yLabel, domain: yDomain, reverse: name === "levels" && score.lower },
        rules: name === "levels" ? [] : [{ y: 0 }, ...(origin === null ? [] : [{ x: origin }])],
        corners:
          name === "levels"
            ? []
            : [
                ["top-left", "unfaithful gain"],
                ["top-right", "faithful gain"],
                ["bottom-left", "unfaithful loss"],
                ["bottom-right", "faithful loss"],
              ],
      });
    };
    return figure({
      title,
      caption:
        order.length > 1
          ? "Up means a better score than the baseline's. Right means closer to the teacher. Bars are 95 % paired bootstrap intervals over prompts: if a bar crosses a line, the sign is not certain. A point leads to its samples, or to its run if none are stored."
          : "Up means a better score, right means closer to the teacher. Bars are 95 % intervals over prompts. A point leads to its samples, or to its run if none are stored. With baseline=, the report shows gains.",
      names: of.namesIn(all),
      marks: of.marks,
      choices: order.map((name) => [name, VIEWS[name].text]),
      panels: (name) =>
        of
          .tasksIn(VIEWS[name].rows)
          .map((task) => ({
            title: of.title(task),
            label: `${VIEWS[name].text}, ${of.title(task)}`,
            options: chart(name, task),
          })),
      numbers: () => ({
        caption: `${title}, with 95 % intervals`,
        rows: all,
        columns: of.columns([
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
    const rows = curves.map(([task, student, where, start, stop, x, y]) => ({
      task,
      student,
      where,
      start,
      stop,
      x,
      y,
    }));
    const last = Math.max(...rows.map((row) => row.stop));
    const least = Math.min(...rows.flatMap((row) => [row.y[0], row.y[1] ?? row.y[0]]));
    const most = Math.max(...rows.flatMap((row) => [row.y[0], row.y[2] ?? row.y[0]]));
    const tokens = (row) => (row.stop - row.start > 1 ? `tokens ${row.start + 1} to ${row.stop}` : `token ${row.stop}`);
    const text = (row) =>
      `${of.label(row.student)}, ${tokens(row)}\n${interval(row.y, curve.decimals)}\n${row.y[3]} responses`;
    const chart = (task, where) =>
      lines({
        series: of.names.map((name, student) => ({
          name,
          label: name,
          href: of.link(task, student),
          linkLabel: `Samples of ${name}, ${of.title(task)}`,
          points: rows
            .filter((row) => row.task === task && row.where === where && row.student === student)
            .map((row) => ({ ...row, title: text(row) })),
        })),
        marks: of.marks,
        x: {
          type: "log",
          base: 2,
          label: "token of the response",
          domain: [1, Math.max(2, last)],
          tickFormat: (t) => String(t),
        },
        y: { label: `${curve.name} (${curve.unit})`, domain: [least, most], nice: true },
      });
    const sets = Object.keys(TEXTS).filter((where) => rows.some((row) => row.where === where));
    return figure({
      title: "Fidelity by token",
      caption:
        "How faithful each student is at each token of a response. If curves on the student's own text fall below those on the teacher's text, that is exposure bias. Bands are 95 % intervals; where a line is thin, too few responses are left for one.",
      names: (where) => of.namesIn(rows.filter((row) => row.where === where)),
      marks: of.marks,
      line: true,
      choices: sets.map((where) => [where, `on ${TEXTS[where]}`]),
      panels: (where) =>
        of.tasksIn(rows.filter((row) => row.where === where)).map((task) => ({
          title: of.title(task),
          label: `${curve.name} by token on ${TEXTS[where]}, ${of.title(task)}`,
          options: chart(task, where),
        })),
      numbers: (where) => ({
        caption: `${curve.name} by token on ${TEXTS[where]}`,
        rows: rows.filter((row) => row.where === where),
        columns: of.columns([
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
            .map((row) => ({
              ...row,
              title: `${name}, up to ${row.x} tokens\n${number(row.y[0], 1)} %\n${row.y[3]} responses`,
            })),
        })),
        marks: of.marks,
        x: {
          type: "log",
          base: 2,
          label: "length of the response in tokens",
          domain: [1, Math.max(2, last)],
          tickFormat: (t) => String(t),
        },
        y: { label: "excess error (%)", nice: true },
        rules: [{ y: 0 }],
      });
    return figure({
      title: "Accumulated exposure error",
      caption:
        "By what percentage more divergence from the teacher accumulates on the student's own text than on the teacher's text, up to each length. Zero means no exposure bias.",
      names: of.namesIn(rows),
      marks: of.marks,
      line: true,
      panels: () =>
        of
          .tasksIn(rows)
          .map((task) => ({
            title: of.title(task),
            label: `Accumulated exposure error, ${of.title(task)}`,
            options: chart(task),
          })),
      numbers: () => ({
        caption: "Accumulated exposure error in percent",
        rows,
        columns: of.columns([
          { title: "length", value: (row) => row.x },
          { title: "excess error", value: (row) => number(row.y[0], 1) },
          { title: "responses", value: (row) => row.y[3] },
        ]),
      }),
    });
  }

  function calibration(of) {
    const rows = of.data.calibration.map(([task, student, metric, error]) => ({ task, student, metric, error }));
    const isError = (metric) => metric.startsWith("ece");
    const metrics = [...new Set(rows.map((row) => row.metric))].sort((a, b) => isError(b) - isError(a));
    const most = (metric) =>
      Math.max(...rows.filter((row) => row.metric === metric).flatMap((row) => [row.error[0], row.error[2] ?? 0]));
    return figure({
      title: "Calibration",
      caption:
        "How far a student's confidence in its tokens is from how often they are right: 0 is best. ece@ref compares with the reference, ece_teacher with the teacher's likeliest token, confidence_gap with the teacher's confidence. Bars are 95 % intervals over prompts.",
      names: (metric) => of.namesIn(rows.filter((row) => row.metric === metric)),
      marks: of.marks,
      low: true,
      choices: metrics.map((metric) => [metric, metric]),
      panels: (metric) =>
        of.tasksIn(rows.filter((row) => row.metric === metric)).map((task) => ({
          title: of.title(task),
          label: `${metric}, ${of.title(task)}`,
          options: dots({
            rows: rows
              .filter((row) => row.metric === metric && row.task === task)
              .map((row) => ({
                name: of.label(row.student),
                label: of.label(row.student),
                value: row.error,
                href: of.link(task, row.student),
                title: `${of.label(row.student)}, ${of.title(task)}\n${metric} ${interval(row.error, 3)}`,
              })),
            marks: of.marks,
            x: { label: metric, domain: [0, most(metric) * 1.05 || 1] },
          }),
        })),
      numbers: (metric) => ({
        caption: `${metric}, with 95 % intervals`,
        rows: rows.filter((row) => row.metric === metric),
        columns: of.columns([
          { title: metric, value: (row) => interval(row.error, 3) },
          { title: "prompts", value: (row) => row.error[3] },
        ]),
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
