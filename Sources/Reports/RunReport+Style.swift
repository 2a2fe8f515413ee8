extension RunReport {
    /// The page's style. Roles have one colour on all charts: blue and orange, which the colour-blind can tell apart.
    static let style: Markup = """

        :root {
          --page: #f6f6f3; --card: #ffffff; --ink: #1b1f24; --soft: #626b78; --hair: #e4e5e2;
          --teacher: #b8560c; --student: #1f66d1; --before: #8b94a3;
          --band-0: #1f66d10d; --band-1: #7a3fb512; --band-2: #12806a12;
        }
        @media (prefers-color-scheme: dark) { :root {
          --page: #101317; --card: #181c22; --ink: #e9ebee; --soft: #9aa4b2; --hair: #2b313a;
          --teacher: #f0a352; --student: #6eabff; --before: #7d8796;
          --band-0: #6eabff12; --band-1: #b78bf018; --band-2: #4fc3a718;
        } }
        * { box-sizing: border-box; }
        body { margin: 0; background: var(--page); color: var(--ink);
          font: 15px/1.5 system-ui, "Segoe UI", Roboto, "Helvetica Neue", "DejaVu Sans", sans-serif; }
        main { max-width: 1060px; margin: 0 auto; padding: 40px 24px 8px; }
        .eyebrow { margin: 0; color: var(--soft); font-size: 13px; letter-spacing: .02em; }
        h1 { margin: 2px 0 8px; font-size: 30px; line-height: 1.2; letter-spacing: -.015em; overflow-wrap: anywhere; }
        h2 { margin: 0; font-size: 16px; letter-spacing: -.005em; }
        .lead { margin: 0; font-size: 17px; max-width: 46em; }
        .facts { margin: 8px 0 0; color: var(--soft); font-size: 13px; }
        .tiles { display: flex; flex-wrap: wrap; gap: 1px; margin: 26px 0 18px;
          padding: 0; list-style: none; background: var(--hair); border: 1px solid var(--hair); border-radius: 12px;
          overflow: hidden; }
        .tiles li { flex: 1 1 150px; display: flex; flex-direction: column; background: var(--card); padding: 14px 16px 12px; }
        .tiles strong { font-size: 23px; font-weight: 650; line-height: 1.3; letter-spacing: -.03em;
          font-variant-numeric: tabular-nums; white-space: nowrap; }
        .tiles .teacher strong { color: var(--teacher); }
        .tiles .student strong { color: var(--student); }
        .tiles .label, .detail, figcaption, .caption { color: var(--soft); font-size: 13px; }
        .figures { display: grid; grid-template-columns: repeat(6, minmax(0, 1fr)); gap: 18px; margin-bottom: 18px; }
        figure, .card { margin: 0; background: var(--card); border: 1px solid var(--hair); border-radius: 12px;
          padding: 16px 18px 10px; break-inside: avoid; }
        .card { margin-bottom: 18px; padding-bottom: 16px; }
        figure { display: flex; flex-direction: column; }
        figure .plot { margin-top: auto; }
        .wide { grid-column: span 6; }
        .half { grid-column: span 3; }
        .third { grid-column: span 2; }
        figcaption, .caption { margin: 2px 0 0; }
        .legend { display: flex; flex-wrap: wrap; gap: 4px 16px; margin: 8px 0 6px; padding: 0; list-style: none;
          font-size: 12px; color: var(--soft); }
        .sign { width: 22px; height: 14px; margin-right: 6px; vertical-align: -2px; }
        .point { margin: 2px 0 0; font-weight: 600; overflow-wrap: anywhere; }
        .plot.narrow { display: none; }
        .notices { margin: 8px 0 0; padding-left: 1.2em; font-size: 14px; overflow-wrap: anywhere; }
        td.student { color: var(--student); font-weight: 650; }
        td.teacher { color: var(--teacher); font-weight: 650; }
        .plot { overflow-x: auto; }
        .plot svg { display: block; width: 100%; height: auto; }
        svg text { font-size: 12px; fill: var(--soft); font-variant-numeric: tabular-nums; }
        .third svg text { font-size: 11px; }
        .third .plot svg { max-width: 420px; }
        svg .grid { stroke: var(--hair); }
        svg .base { stroke: var(--soft); stroke-opacity: .5; }
        svg .line, svg .every { fill: none; stroke: currentColor; stroke-width: 2.2; stroke-linejoin: round;
          stroke-linecap: round; }
        svg .every { stroke-width: 1; stroke-opacity: .3; }
        svg .rule { fill: none; stroke: currentColor; stroke-width: 1.6; stroke-dasharray: 6 4; }
        svg .teacher { color: var(--teacher); }
        svg .student { color: var(--student); }
        svg .before { color: var(--before); }
        svg .dot { fill: currentColor; stroke: var(--card); stroke-width: 1.2; }
        svg .dot.before { fill: var(--card); stroke: currentColor; stroke-width: 1.6; }
        svg .link { stroke: var(--before); stroke-width: 1.6; stroke-opacity: .55; }
        svg .marked { fill: var(--card); stroke: var(--student); stroke-width: 2.4; }
        svg text.marked-label { fill: var(--student); font-weight: 650; }
        svg text.rule-label { fill: var(--teacher); font-weight: 650; }
        svg text.rule-label, svg text.marked-label, .note text { paint-order: stroke; stroke: var(--card);
          stroke-width: 5px; stroke-linejoin: round; }
        svg .band-0 { fill: var(--band-0); }
        svg .band-1 { fill: var(--band-1); }
        svg .band-2 { fill: var(--band-2); }
        .note rect { fill: transparent; }
        .note .shown { visibility: hidden; pointer-events: none; }
        .note:hover .shown { visibility: visible; }
        .note line { stroke: var(--soft); stroke-opacity: .6; stroke-dasharray: 2 2; }
        .note text { fill: var(--ink); }
        table { border-collapse: collapse; width: 100%; margin-top: 10px; font-variant-numeric: tabular-nums; }
        th, td { padding: 6px 10px; text-align: right; border-bottom: 1px solid var(--hair); white-space: nowrap; }
        th:first-child, td:first-child { text-align: left; padding-left: 0; }
        tbody tr:last-child > * { border-bottom: 0; }
        thead th { color: var(--soft); font-size: 12px; font-weight: 500; }
        tbody th { font-weight: 600; }
        .share { display: block; width: 100%; height: 12px; margin-top: 12px; border-radius: 6px; }
        .part-reused { fill: var(--student); color: var(--student); }
        .part-initialised { fill: var(--teacher); color: var(--teacher); }
        .part-dropped { fill: var(--before); color: var(--before); }
        pre { margin: 10px 0 0; max-height: 26em; overflow: auto; font: 12.5px/1.5 ui-monospace, "SF Mono", Menlo,
          Consolas, "DejaVu Sans Mono", monospace; }
        footer { max-width: 1060px; margin: 0 auto; padding: 6px 24px 40px; color: var(--soft); font-size: 13px; }
        @media screen and (max-width: 820px) { .half, .third { grid-column: span 6; } h1 { font-size: 25px; }
          main { padding: 24px 14px 8px; } }
        @media screen and (max-width: 560px) {
          .plot.broad { display: none; }
          .plot.narrow { display: block; }
          .figures { gap: 14px; }
          figure, .card { padding: 14px 14px 8px; }
          .tiles li { flex-basis: 40%; }
          .third svg text { font-size: 12px; }
          .third .plot svg { max-width: none; }
          .facts-found th[scope="row"] { white-space: normal; }
          th, td { padding: 6px 6px; }
        }
        @media print {
          :root { --page: #ffffff; --card: #ffffff; --ink: #000000; --soft: #4a4f57; --hair: #d5d6d3;
            --teacher: #b8560c; --student: #1f66d1; --before: #8b94a3;
            --band-0: #1f66d10d; --band-1: #7a3fb512; --band-2: #12806a12; }
          * { print-color-adjust: exact; }
          main { max-width: none; padding: 0; }
          pre { max-height: none; white-space: pre-wrap; }
          .tiles li { flex-basis: 30%; }
          .note { display: none; }
        }

        """
}
