// The tokens of an answer, coloured by how much each surprised the model, with the tokens that it found likelier or next likely.

const alternatives = 5;

/** Collects the tokens of a stream as [text, logprob, [[text, logprob], ...]]; pieces of one character are joined. */
class TokenCollector {
  constructor() {
    this.tokens = [];
    this.bytes = [];
    this.open = null;
  }

  add(entries) {
    for (const entry of entries) {
      this.bytes.push(...entry.bytes);
      this.open ??= ["", 0, entry.top_logprobs.map((top) => [top.token, top.logprob])];
      this.open[1] += entry.logprob;
      try {
        this.open[0] = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(new Uint8Array(this.bytes));
      } catch {
        continue;
      }
      this.tokens.push(this.open);
      [this.bytes, this.open] = [[], null];
    }
  }

  /** The tokens, where they are the text: a stop string may have cut it. */
  of(text) {
    let [all, kept] = ["", []];
    for (const token of this.tokens) {
      if (all.length >= text.length) break;
      all += token[0];
      kept.push(token);
    }
    return all.trimStart() === text.trimStart() ? kept : undefined;
  }
}

/** Tokens as one group for the keyboard: arrows go from one to the next. */
function tokenView(tokens) {
  const view = element("div", {
    class: "tokens", role: "group",
    "aria-label": "Tokens, coloured by surprise; arrow keys go from one to the next",
  });
  tokens.forEach((token, place) => {
    const span = element("span", { tabindex: place ? "-1" : "0", "aria-describedby": "alternatives" }, token[0]);
    // 0 nats show no colour, 6 and more the fullest.
    span.style.setProperty("--surprise", `${Math.min(1, -token[1] / 6) * 55}%`);
    span.addEventListener("mouseenter", () => showAlternatives(span, token));
    span.addEventListener("mouseleave", hideAlternatives);
    span.addEventListener("focus", () => showAlternatives(span, token));
    span.addEventListener("blur", hideAlternatives);
    view.append(span);
  });
  view.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    const from = document.activeElement;
    if (!step || from.parentNode !== view) return;
    event.preventDefault();
    const to = step > 0 ? from.nextElementSibling : from.previousElementSibling;
    if (!to) return;
    from.tabIndex = -1;
    to.tabIndex = 0;
    to.focus();
  });
  return view;
}

const percent = (logprob) => {
  const share = 100 * Math.exp(logprob);
  return share >= 99.95 ? "100%" : share < 0.01 ? "<0.01%" : `${share.toPrecision(share < 1 ? 1 : 3)}%`;
};

/** Spaces and line ends that can be seen. */
const visible = (text) => text.replaceAll("\n", "↵").replaceAll("\t", "⇥").replace(/^ | $/g, "·");

function showAlternatives(span, [text, logprob, top]) {
  const box = byId("alternatives");
  const list = element("ul");
  const rows = top.some(([other]) => other === text) ? top : [...top, [text, logprob]];
  for (const [other, chance] of rows) {
    const item = element("li", { class: other === text ? "chosen" : "" },
      element("span", {}, visible(other)), element("span", {}, percent(chance)));
    item.style.setProperty("--share", `${100 * Math.exp(chance)}%`);
    list.append(item);
  }
  box.replaceChildren(element("p", {}, `Surprise ${(-logprob / Math.LN2).toFixed(1)} bits`), list);
  box.hidden = false;
  const place = span.getBoundingClientRect();
  const below = place.bottom + 8 + box.offsetHeight < innerHeight;
  box.style.top = `${below ? place.bottom + 8 : Math.max(8, place.top - 8 - box.offsetHeight)}px`;
  box.style.left = `${Math.max(8, Math.min(place.left - 14, innerWidth - box.offsetWidth - 8))}px`;
}

function hideAlternatives() {
  byId("alternatives").hidden = true;
}
