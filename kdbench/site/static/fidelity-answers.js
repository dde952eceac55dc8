"use strict";
// Figures of final answers for the page Fidelity: agreement within its band, and who is right.
kdbench.answers = (() => {
  const { figure, number, interval } = kdbench.plot;
  const { scatter, bars } = kdbench.charts;
  const SHARES = [
    ["RR", "both right"],
    ["WWs", "both wrong, same answer"],
    ["WR", "only the student right"],
    ["RW", "only the teacher right"],
    ["WWd", "both wrong, different answers"],
  ];
  const SHARE_COLOURS = new Map(
    SHARES.map(([name], i) => [name, [`var(--share-${i + 1})`, `var(--share-text-${i + 1})`]]),
  );

  function band(of) {
    const rows = of.data.bands.flatMap((one) => one.points.map((point) => ({ ...point, task: one.task })));
    const text = (row) =>
      `${of.label(row.student)}, ${of.title(row.task)}\naccuracy ${interval(row.accuracy, 3)}\nagreement ${interval(row.agreement, 3)}\nposition in the band ${number(row.position, 2)}`;
    const chart = (one) => (width, shown) => {
      const points = one.points.map((row) => ({ ...row, task: one.task }));
      return scatter({
        points: points.map((row) => ({
          name: of.label(row.student),
          label: of.label(row.student),
          x: row.accuracy,
          y: row.agreement,
          href: of.link(one.task, row.student),
          title: text(row),
        })),
        marks: of.marks,
        x: { label: "accuracy of the student", domain: [0, 1] },
        y: { label: "agreement with the teacher", domain: [0, 1] },
        under: [
          Plot.areaY(one.edges, { x: "0", y1: "1", y2: "2", fill: "var(--band)" }),
          Plot.line(
            [
              [0, 0],
              [1, one.teacher],
            ],
            { x: "0", y: "1", stroke: "var(--text)", strokeDasharray: "2 3" },
          ),
          Plot.ruleX([one.teacher], { stroke: "var(--quiet)" }),
          ...(one.ceiling === null
            ? []
            : [Plot.ruleY([one.ceiling], { stroke: "var(--quiet)", strokeDasharray: "6 4" })]),
        ],
      })(width, shown);
    };
    return figure({
      title: "Agreement within its band",
      caption:
        "Two models that are often right often agree, even if they have nothing else in common: given the two accuracies, agreement can only lie in the shaded band. Read the position within the band, not the height. Dotted: right answers independent and wrong ones never equal. Upright line: accuracy of the teacher. Dashed: agreement of the teacher with itself.",
      names: of.namesIn(rows),
      marks: of.marks,
      panels: () =>
        of.data.bands.map((one) => ({
          title: of.title(one.task),
          label: `Agreement against accuracy, ${of.title(one.task)}`,
          options: chart(one),
        })),
      numbers: () => ({
        caption: "Accuracy, agreement and the band",
        rows,
        columns: of.columns([
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
        const part = {
          from,
          to: from + share,
          part: name,
          text: `${name} ${share.toFixed(2).replace(/^0/, "")}`,
          title: `${of.label(row.student)}, ${of.title(row.task)}\n${name}, ${meaning}: ${share.toFixed(3)}`,
        };
        from += share;
        return part;
      });
      return {
        name: of.label(row.student),
        label: of.label(row.student),
        href: of.link(row.task, row.student),
        note: pText(row.p),
        parts: parts.filter((part) => part.to > part.from),
      };
    };
    return figure({
      title: "Right and wrong together",
      caption:
        "Shares of the pairs of answers. RR and WWs are agreement; WWs, the same mistakes, is the part that knowing the right answer does not explain. WR: only the student is right. RW: only the teacher is right. WWd: both are wrong, with different answers. p is that of McNemar's exact test that WR and RW differ only by chance.",
      names: of.namesIn(rows),
      marks: of.marks,
      wide: true,
      panels: () =>
        of.tasksIn(rows).map((task) => ({
          title: of.title(task),
          label: `Right and wrong answers, ${of.title(task)}`,
          options: bars({
            rows: rows.filter((row) => row.task === task).map(bar),
            x: { label: "share of answers", domain: [0, 1] },
            colours: SHARE_COLOURS,
          }),
        })),
      numbers: () => ({
        caption: "Shares of right and wrong answers",
        rows,
        columns: of.columns([
          ...SHARES.map(([name], i) => ({ title: name, value: (row) => number(row.shares[i], 3) })),
          { title: "prompts", value: (row) => row.n },
          { title: "p", value: (row) => number(row.p, 3) },
        ]),
      }),
    });
  }

  return { band, cells };
})();
