#!/usr/bin/env python3
"""Uses the page of moult serve as people do, in a headless Chromium, and takes its pictures.

    apt-get install chromium fonts-inter
    python3 -m venv .venv-page
    .venv-page/bin/pip install playwright==1.65.2 axe-playwright-python==0.1.8 pillow==13.0.0
    .venv-page/bin/python Tools/oracles/serve_page.py [MODEL] [--text FILE] [--pictures docs/images]

MODEL is converted first, with a window of 512 tokens. The page is asked, stopped, edited, branched, rewound, reloaded, exported and
imported, reads a long text, shows tokens and what slots do with one; a second server has two models, a third asks for a key. Throughout there must be no error of a script, no
violation of the Content-Security-Policy, and no request to anywhere else. axe-core looks at every view for names, roles and
contrast, at 1280 and 390 pixels, light and dark; every control must be reached by the keyboard and show its focus.
"""

import argparse
import io
import json
import re
import tempfile
import urllib.request
from pathlib import Path

import moult
from axe_playwright_python.sync_playwright import Axe
from moult import check
from PIL import Image
from playwright.sync_api import sync_playwright

DESKTOP, PHONE = {"width": 1280, "height": 820}, {"width": 390, "height": 844}


class Visitor:
    """Somebody at the page, in a browser that has been nowhere else."""

    def __init__(self, browser, root):
        self.root, self.faults, self.requests = root, [], []
        self.context = browser.new_context(viewport=DESKTOP, color_scheme="light", accept_downloads=True)
        self.page = page = self.context.new_page()
        page.set_default_timeout(120_000)
        page.on("console", self.listen)
        page.on("pageerror", lambda error: self.faults.append(f"script: {error}"))
        page.on("request", lambda request: self.watch(request.url))
        page.on("dialog", lambda dialog: dialog.accept())
        page.add_init_script("window.violations = []; addEventListener('securitypolicyviolation', "
                             "(event) => violations.push(`${event.violatedDirective} ${event.blockedURI}`))")
        page.goto(root)
        self.expected = []

    def listen(self, message):
        if message.type in ("error", "warning") and not any(text in message.text for text in self.expected):
            self.faults.append(f"{message.type}: {message.text}")

    def watch(self, url):
        self.requests.append(url.removeprefix(self.root))
        if not url.startswith((self.root + "/", "data:", "blob:")):
            self.faults.append(f"a request to {url}")

    def end(self, what):
        self.faults += self.page.evaluate("violations")
        check(not self.faults, f"{what}: no error, no violation, no request elsewhere{self.faults or ''}")
        self.context.close()

    def until(self, expression):
        """Waits until an expression holds: the page's policy leaves none to Playwright's own waiting."""
        for _ in range(1200):
            if self.page.evaluate(expression):
                return
            self.page.wait_for_timeout(100)
        check(False, f"waited for {expression}")

    # What people do.

    def set(self, **sampling):
        self.page.click("#tab-settings")
        for name, value in sampling.items():
            self.page.fill(f"#sampler-{name}", str(value))
        self.page.click("#tab-sequence")

    def say(self, text):
        self.page.fill("#text", text)
        self.page.keyboard.press("Enter")
        self.page.wait_for_selector(".message.user")

    def done(self):
        self.page.wait_for_selector('#send[aria-label="Send"]')

    def ask(self, text):
        """Waits for the answer, too."""
        count = self.messages.count()
        self.say(text)
        self.until(f"document.querySelectorAll('.message').length >= {count + 2}")
        self.done()

    @property
    def messages(self):
        return self.page.locator(".message")

    @property
    def answers(self):
        return self.page.locator(".message.assistant .content")

    def figure(self, name):
        return self.page.inner_text(f"#figure-{name}")

    @property
    def cached(self):
        return int(re.match(r"[\d,]+", self.figure("cached"))[0].replace(",", ""))

    @property
    def prompt(self):
        return int(re.search(r"of ([\d,]+)", self.figure("cached"))[1].replace(",", ""))

    def button(self, name, message):
        return self.messages.nth(message).get_by_label(name, exact=True)


def metric(root, name):
    text = urllib.request.urlopen(f"{root}/metrics").read().decode()
    return float(re.search(rf"^moult:{name}{{[^}}]*}} (\S+)$", text, re.MULTILINE)[1])


def conversation(visitor):
    page = visitor.page
    visitor.set(temperature=0.4, repetition_penalty=1.1, max_tokens=48, seed=1)
    hostile = "What is a fjord?\n<img src=x onerror=alert(1)>"
    visitor.say(hostile)
    visitor.until("document.querySelector('.message.assistant .content').textContent.length > 20")
    before = visitor.answers.first.inner_text()
    visitor.until(f"document.querySelector('.message.assistant .content').textContent.length > {len(before)}")
    check(True, "an answer grows as it comes")
    visitor.done()
    check(visitor.messages.first.locator(".content").inner_text() == hostile, "text that looks like HTML is text")
    check(page.evaluate("document.querySelectorAll('#messages img').length") == 0, "and makes no element")
    check(visitor.figure("writing") != "–", f"writing: {visitor.figure('writing')}")

    visitor.button("Another answer", 1).click()
    page.wait_for_selector(".branches")
    visitor.done()
    check("2/2" in visitor.messages.nth(1).inner_text(), "another answer stands beside the first: 2/2")
    second = visitor.answers.first.inner_text()
    visitor.button("Branch before", 1).click()
    check("1/2" in visitor.messages.nth(1).inner_text(), "an arrow goes back to the first: 1/2")
    check(page.evaluate("document.activeElement.getAttribute('aria-label')") == "Next branch", "the arrows keep the focus")
    page.keyboard.press("Enter")
    check(visitor.answers.first.inner_text() == second, "and forth")

    visitor.ask("Name one in Norway.")
    check(visitor.messages.count() == 4, "a second turn")
    check(visitor.cached > 40, f"of it {visitor.cached} tokens are from a stored state")
    visitor.button("Edit", 2).click()
    page.keyboard.press("Control+A")
    page.keyboard.type("Name one in Chile.")
    page.keyboard.press("Enter")
    visitor.until("document.querySelectorAll('.branches').length >= 2")
    visitor.done()
    check("Chile" in visitor.messages.nth(2).inner_text() and "2/2" in visitor.messages.nth(2).inner_text(),
          "an edited message is a branch")

    page.evaluate("""() => { const data = new DataTransfer();
        data.items.add(new File(['dropped'], 'dropped.txt')); const drop = (name) => document.querySelector('.box')
            .dispatchEvent(new DragEvent(name, { dataTransfer: data, bubbles: true, cancelable: true }));
        drop('dragover'); drop('drop'); }""")
    page.wait_for_selector("#files li")
    check("dropped.txt" in page.inner_text("#files"), "a file may be dropped")
    page.get_by_label("Take dropped.txt away").click()

    marks = page.locator("#states button")
    check(marks.count() == 7, f"{marks.count()} states are marked")
    marks.nth(0).click()
    check(visitor.messages.count() == 1 and page.locator(".rewound").count() == 1, "a click on a mark goes back")
    page.click(".rewound button")
    check(visitor.messages.count() == 4, "and forward again")
    visitor.page.locator('#states button[aria-label^="Answer 1"]').last.click()
    visitor.ask("Name one in New Zealand.")
    check(visitor.cached > 40, f"what is written there begins a branch, of which {visitor.cached} tokens are from a stored state")
    check(page.locator("#states button").count() == 9, "with marks of its own")


def stopping(visitor, root):
    page = visitor.page
    page.click("#new")
    visitor.set(max_tokens=4000)
    visitor.say("Tell me a very long story.")
    visitor.until("document.querySelector('.message.assistant .content').textContent.length > 20")
    page.keyboard.press("Escape")
    visitor.done()
    check("stopped" in visitor.messages.nth(1).inner_text(), "Esc stops")
    page.wait_for_timeout(500)
    check(metric(root, "num_requests_running") == 0, "and the server does not go on")
    visitor.set(max_tokens=48)


def keeping(visitor):
    page = visitor.page
    page.locator("#conversations .open").last.click()
    texts = visitor.messages.all_inner_texts()
    page.reload()
    page.wait_for_selector("#conversations .current")
    page.wait_for_selector(".message")
    check(visitor.messages.all_inner_texts() == texts, "a conversation is there again when the page is")
    with page.expect_download() as download:
        page.click("#export")
    exported = json.loads(Path(download.value.path()).read_text())
    check(len(exported["messages"]) == 9, "an exported conversation has all branches")
    count = page.locator("#conversations li").count()
    page.set_input_files("#import-file", download.value.path())
    visitor.until(f"document.querySelectorAll('#conversations li').length === {count + 1}")
    check(visitor.messages.all_inner_texts() == texts, "imported, it is the same")
    page.set_input_files("#import-file", {"name": "x.json", "mimeType": "application/json", "buffer": b'{"messages": [1]}'})
    page.wait_for_selector("#notice:not(:empty)")
    check("could not be imported" in page.inner_text("#notice"), f"what is none is refused: {page.inner_text('#notice')}")
    damaged = exported | {"messages": [message | {"tokens": [["a", "b", "c"], [], None]} for message in exported["messages"]]}
    page.set_input_files(
        "#import-file", {"name": "x.json", "mimeType": "application/json", "buffer": json.dumps(damaged).encode()})
    visitor.until(f"document.querySelectorAll('#conversations li').length === {count + 2}")
    page.click("#tokens")
    check(page.locator(".tokens").count() == 0 and visitor.answers.count() > 0, "tokens that are none are left out")
    page.click("#tokens")
    page.get_by_label("Delete").first.click()
    visitor.until(f"document.querySelectorAll('#conversations li').length === {count + 1}")
    page.get_by_label("Delete").first.click()
    visitor.until(f"document.querySelectorAll('#conversations li').length === {count}")


def tokens(visitor):
    page = visitor.page
    plain = re.sub(r"\W+", "", visitor.answers.last.inner_text())
    page.click("#tokens")
    page.wait_for_selector(".tokens span")
    shown = "".join(page.locator(".tokens").last.locator("span").all_text_contents())
    check(re.sub(r"\W+", "", shown) == plain, "the tokens of an answer are its text")
    page.locator(".tokens span").first.focus()
    page.keyboard.press("ArrowRight")
    box = page.locator("#alternatives")
    check(box.is_visible() and box.locator("li").count() >= 5, "a token with the focus shows what else was likely")
    shares = [float(text.strip("<%")) for text in box.locator("li span:last-child").all_text_contents()]
    check(shares[0] == max(shares) and sum(shares) <= 100.5, f"with probabilities: {shares}")
    page.click("#tokens")


def reading(visitor, text):
    page = visitor.page
    page.click("#new")
    page.set_input_files("#file", {"name": "encyclopedia.txt", "mimeType": "text/plain", "buffer": text.encode()})
    page.fill("#text", "What does it say of the American robin?")
    visitor.until("document.querySelector('#files .state')?.textContent.includes('left')")
    check(True, f"while a file is read: {page.inner_text('#files .state')}")
    page.keyboard.press("Enter")
    check(page.is_visible("#waits"), f"a question that comes earlier waits: {page.inner_text('#waits')}")
    page.keyboard.press("Escape")
    page.wait_for_selector("#waits", state="hidden")
    check(page.input_value("#text") != "", "Esc holds it back")
    page.keyboard.press("Enter")
    page.wait_for_selector(".message.assistant")
    read = int(re.search(r"([\d,]+) tokens", page.inner_text(".attached"))[1].replace(",", ""))
    visitor.done()
    check(visitor.cached > read - 600, f"the question finds {visitor.cached} of {read} tokens of the file read")
    page.set_input_files("#file", {"name": "picture.png", "mimeType": "image/png", "buffer": b"\x89PNG\xff\xfe"})
    page.wait_for_selector("#files .error")
    check("UTF-8" in page.inner_text("#files .error"), f"what is no text is refused: {page.inner_text('#files .error')}")
    page.get_by_label("Take picture.png away").click()
    visitor.button("Another answer", 1).click()
    page.wait_for_selector(".branches")
    visitor.done()
    check(visitor.cached == visitor.prompt, f"another answer reads nothing: {visitor.cached} of {visitor.prompt}")
    visitor.ask("And of *Agave*?")
    visitor.page.locator('#states button[aria-label^="Answer 1"]').first.click()
    visitor.ask("Say it in one sentence.")


def memory(visitor):
    """The map of slots: asked for only while it is open, drawn, and told in words."""
    page = visitor.page
    check("/memory" not in visitor.requests, "nobody has asked for the memory")
    page.click("#map-show")
    page.wait_for_selector("#map", state="visible")
    check("16 slots" in page.inner_text("#map-text"), page.inner_text("#map-text"))
    check("token" in page.inner_text("#map-token"), f"at {page.inner_text('#map-token')}")

    def drawn():
        return page.evaluate("document.querySelector('#map-canvas').toDataURL()")

    pictures = [drawn()]
    for mode in ("Written", "Read"):
        page.get_by_label(mode, exact=True).check()
        pictures.append(drawn())
    check(len(set(pictures)) == 3, "what is kept, written and read are three maps")
    check(page.evaluate("new Set(new Uint32Array(document.querySelector('#map-canvas').getContext('2d')"
                        ".getImageData(0, 0, 280, 300).data.buffer)).size") > 20, "with cells of many shades")
    page.focus("#map-canvas")
    first = page.inner_text("#map-cell")
    for key in ("ArrowDown", "ArrowRight"):
        page.keyboard.press(key)
    check(first.startswith("Layer 1, head 1, slot 1") and page.inner_text("#map-cell").startswith("Layer 1, head 2, slot 2"),
          f"arrow keys go from cell to cell: {page.inner_text('#map-cell')}")
    page.locator("#map-canvas").hover(position={"x": 3, "y": 1})
    check(page.inner_text("#map-cell") == first, "and so does the mouse")
    token = page.inner_text("#map-token")
    page.click("#map-earlier")
    visitor.until(f"document.querySelector('#map-token').innerText !== {json.dumps(token)}")
    check(not page.is_disabled("#map-later"), f"the token before: {page.inner_text('#map-token')}")
    asked = visitor.requests.count("/memory")
    page.click("#map-show")
    page.wait_for_selector("#map", state="hidden")
    visitor.ask("Name another.")
    check(visitor.requests.count("/memory") == asked == 2, "closed, it is not asked for")


def several(browser, student, teacher):
    """A server of two models, one of which may be chosen for each conversation."""
    with moult.serving(f"student={student}", f"teacher={teacher}") as root:
        visitor = Visitor(browser, root)
        page = visitor.page
        page.wait_for_selector("#models", state="visible")
        look(visitor, "a choice of models")
        visitor.set(max_tokens=8)

        def loaded():
            cards = json.load(urllib.request.urlopen(f"{root}/v1/models"))["data"]
            return [card["id"] for card in cards if card["status"]["value"] == "loaded"]

        check(loaded() == [], "none is loaded before it is asked")
        page.select_option("#models", "teacher")
        visitor.ask("Hello")
        check(loaded() == ["teacher"], "the one that was chosen answers")
        visitor.until("document.querySelector('#memory-text').innerText.includes('is a Transformer')")
        check(page.locator("#map-section").is_hidden(), "a Transformer has no slots")
        page.reload()
        page.wait_for_selector(".message")
        visitor.until("document.querySelector('#models').value === 'teacher'")
        page.select_option("#models", "student")
        visitor.button("Another answer", 1).click()
        page.wait_for_selector(".branches")
        visitor.done()
        check(loaded() == ["student", "teacher"], "another answer may be the other's")
        visitor.until("document.querySelector('#memory .own') && document.querySelector('#memory .teacher')")
        check(page.is_visible("#map-section"), "which has slots")
        visitor.end("with two models")


def keyboard(visitor):
    """Every control is reached by Tab, in each width, and shows its focus."""
    page = visitor.page
    for size in (DESKTOP, PHONE):
        page.set_viewport_size(size)
        page.mouse.move(1, 1)
        controls = page.evaluate(
            """() => { window.controls = [...document.querySelectorAll('button, textarea, input, select, canvas, [role=tab]')].filter(
                (node) => node.checkVisibility() && !node.disabled && !node.closest('[inert]') && node.tabIndex >= 0);
                window.reached = new Set(); document.activeElement.blur(); return controls.length; }""")
        for _ in range(controls + 20):
            page.keyboard.press("Tab")
            bare = page.evaluate(
                """() => { const node = document.activeElement; reached.add(node); const style = getComputedStyle(node);
                    const frame = node.id === 'text' ? getComputedStyle(document.querySelector('.box')) : style;
                    return node !== document.body && style.outlineStyle === 'none' && node.id !== 'text'
                        && (node.id || node.className); }""")
            check(not bare, f"the focus can be seen{bare or ''}") if bare else None
        missing = page.evaluate("controls.filter((node) => !reached.has(node)).map((node) => node.id || node.ariaLabel)")
        check(not missing, f"{size['width']} pixels: Tab reaches all {controls} controls{missing or ''}")
    page.set_viewport_size(DESKTOP)


def look(visitor, view):
    """Names, roles and contrast of what is shown."""
    found = Axe().run(visitor.page).response["violations"]
    wrong = [f"{rule['id']}: {node['html'][:120]}" for rule in found for node in rule["nodes"]]
    check(not wrong, f"axe-core, {view}: nothing{wrong or ''}")


def views(visitor, folder):
    """Pictures of the page, each looked at by axe-core."""
    page = visitor.page

    def take(name):
        page.wait_for_timeout(250)
        look(visitor, name)
        picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
        path = folder / f"page-{name}.png"
        picture.quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)
        check(path.stat().st_size < 200_000, f"{path.name}: {path.stat().st_size / 1000:.0f} kB")

    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size(DESKTOP)
        page.mouse.move(700, 650)
        page.focus("#text")
        if scheme == "dark":
            look(visitor, "1280-dark, without tokens")
            page.click("#tokens")
            page.locator(".tokens").last.locator("span").nth(6).hover()
        take(f"1280-{scheme}")
        if scheme == "dark":
            page.click("#tokens")
        page.locator("#map-show").click()
        page.wait_for_selector("#map", state="visible")
        page.locator("#map-section").scroll_into_view_if_needed()
        page.evaluate("document.querySelector('#sequence').scrollTop = 1e6")
        take(f"1280-{scheme}-slots")
        page.locator("#map-show").click()
        page.evaluate("document.querySelector('#sequence').scrollTop = 0")
        page.set_viewport_size(PHONE)
        take(f"390-{scheme}")
        page.click("#open-panel")
        take(f"390-{scheme}-sequence")
        page.keyboard.press("Escape")
    page.emulate_media(color_scheme="light")
    page.click("#open-sidebar")
    page.wait_for_timeout(200)
    look(visitor, "390 pixels, conversations")
    page.keyboard.press("Escape")
    page.set_viewport_size(DESKTOP)
    page.click("#tab-settings")
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        look(visitor, f"settings, {scheme}")
    page.emulate_media(color_scheme="light")
    page.click("#tab-sequence")
    page.click("#tokens")
    page.locator(".tokens").last.locator("span").nth(6).hover()
    look(visitor, "1280-light, with tokens")
    page.click("#tokens")


def keys(browser, model, folder):
    """A server that asks for a key, of a Transformer."""
    (folder / "keys").write_text("correct-horse\n")
    with moult.serving(model, "--api-key-file", folder / "keys") as root:
        visitor = Visitor(browser, root)
        visitor.expected = ["401"]
        page = visitor.page
        page.wait_for_selector("#key-dialog[open]")
        look(visitor, "the dialog for a key")
        page.fill("#key", "wrong")
        page.keyboard.press("Enter")
        visitor.until("document.querySelector('#key-text').textContent.includes('not among')")
        check(True, "a wrong key is asked for again")
        page.fill("#key", "correct-horse")
        page.keyboard.press("Enter")
        visitor.set(max_tokens=8)
        visitor.ask("Hello")
        check(visitor.messages.count() == 2, "the right one is answered")
        check("is a Transformer" in page.inner_text("#memory-text"), "a Transformer has a cache of its own alone")
        stored = page.evaluate("[sessionStorage.length, JSON.stringify({...localStorage}).includes('horse')]")
        check(stored == [1, False], "a key is kept for the session alone")
        visitor.end("with a key")
    with moult.serving(model, "--no-page") as root:
        try:
            urllib.request.urlopen(root)
            check(False, "--no-page: no page")
        except urllib.error.HTTPError as error:
            check(error.code == 404, "--no-page: no page")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", nargs="?", default=moult.ROOT / ".models" / "SmolLM2-135M-Instruct.Q4_1.gguf")
    parser.add_argument("--text", type=Path, default=moult.ROOT / ".data" / "encyclopedia_valid.txt")
    parser.add_argument("--pictures", type=Path, help="folder for pictures")
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    arguments = parser.parse_args()
    text = arguments.text.read_text()[:24_000]

    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        folder = Path(folder)
        student = folder / "SmolLM2-135M-recurrent"
        moult.run("convert", arguments.model, "--output", student, "--window", 512)
        pictures = arguments.pictures or folder
        pictures.mkdir(exist_ok=True)
        browser = playwright.chromium.launch(executable_path=arguments.chromium)
        print("Chromium", browser.version)
        with moult.serving(student) as root:
            visitor = Visitor(browser, root)
            conversation(visitor)
            stopping(visitor, root)
            keeping(visitor)
            tokens(visitor)
            memory(visitor)
            keyboard(visitor)
            reading(visitor, text)
            views(visitor, pictures)
            visitor.end("all of it")
        several(browser, student, arguments.model)
        keys(browser, arguments.model, folder)
        browser.close()


if __name__ == "__main__":
    main()
