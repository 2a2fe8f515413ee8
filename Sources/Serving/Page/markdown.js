// The little of Markdown that models write, as elements: fences, headings, lists, quotes, emphasis and code. Links and HTML
// stay text.

function formatted(text) {
  const fragment = document.createDocumentFragment();
  const lines = text.split("\n");
  let paragraph = [];
  const flush = () => {
    if (paragraph.length) fragment.append(element("p", { class: "plain" }, ...inline(paragraph.join("\n"))));
    paragraph = [];
  };
  for (let at = 0; at < lines.length; at += 1) {
    const line = lines[at];
    const fence = /^\s*(```+|~~~+)/.exec(line);
    const heading = /^#{1,6}\s+(.*)/.exec(line);
    if (fence) {
      flush();
      const code = [];
      while (++at < lines.length && !lines[at].trim().startsWith(fence[1])) code.push(lines[at]);
      fragment.append(element("pre", { tabindex: "0" }, element("code", {}, code.join("\n"))));
    } else if (heading) {
      flush();
      fragment.append(element("h3", {}, ...inline(heading[1])));
    } else if (listItem(line)) {
      flush();
      const ordered = listItem(line).ordered;
      const list = element(ordered ? "ol" : "ul", ordered ? { start: listItem(line).number } : {});
      for (; at < lines.length && listItem(lines[at])?.ordered === ordered; at += 1) {
        const item = [listItem(lines[at]).text];
        while (at + 1 < lines.length && /^\s{2,}\S/.test(lines[at + 1]) && !listItem(lines[at + 1])) item.push(lines[++at].trim());
        list.append(element("li", {}, ...inline(item.join("\n"))));
        // An empty line may stand between the items of one list.
        if (lines[at + 1]?.trim() === "" && listItem(lines[at + 2] ?? "")?.ordered === ordered) at += 1;
      }
      at -= 1;
      fragment.append(list);
    } else if (line.startsWith("> ")) {
      flush();
      const quote = [line.slice(2)];
      while (lines[at + 1]?.startsWith(">")) quote.push(lines[++at].replace(/^> ?/, ""));
      fragment.append(element("blockquote", { class: "plain" }, ...inline(quote.join("\n"))));
    } else if (line.trim() === "") {
      flush();
    } else {
      paragraph.push(line);
    }
  }
  flush();
  return fragment;
}

function listItem(line) {
  const found = /^\s{0,3}(?:([-*+•])|(\d{1,4})[.)])\s+(.*)/.exec(line);
  return found && { ordered: found[2] !== undefined, number: found[2], text: found[3] };
}

function inline(text) {
  const nodes = [];
  let end = 0;
  for (const found of text.matchAll(/(`+)(.+?)\1|\*\*(\S(?:.*?\S)?)\*\*|\*(\S(?:.*?\S)?)\*/g)) {
    nodes.push(text.slice(end, found.index));
    if (found[2] !== undefined) nodes.push(element("code", {}, found[2]));
    else if (found[3] !== undefined) nodes.push(element("strong", {}, found[3]));
    else nodes.push(element("em", {}, found[4]));
    end = found.index + found[0].length;
  }
  nodes.push(text.slice(end));
  return nodes.filter((node) => node !== "");
}
