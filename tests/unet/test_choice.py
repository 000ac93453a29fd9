import json
import os
import re
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager

import numpy as np
import pytest
import tifffile

from nanorender.errors import InputError
from unet.checkpoint import write_model
from unet.choice import (
    Choice,
    epoch_codes,
    format_choices,
    read_choice,
    read_choices,
    summarize_choices,
)
from unet.choice_page import write_choice_page
from unet.model import initial_weights
from unet.run_folder import epoch_path, prediction_path
from unet.select import RankedEpoch, rank_by_truth
from unet.validation import ValidationImage

EPOCHS = 7


@pytest.fixture
def image(discs):
    gray, labels = discs(9, 96)
    return ValidationImage("real <b>&", gray, 6.0, labels)


@pytest.fixture
def run(tmp_path, card, rng, image):
    """A run of seven epochs that find ever more of the particles."""
    for epoch in range(1, EPOCHS + 1):
        weights = initial_weights(card.training.architecture, rng)
        path = epoch_path(tmp_path / "run", epoch)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_model(path, card.model_copy(update={"epoch": epoch}), weights)
        found = (image.truth > 0) & (image.truth <= 3 * epoch)
        prediction = prediction_path(tmp_path / "run", epoch, image.name)
        prediction.parent.mkdir(parents=True)
        pages = np.stack([found, found, 0 * found, found]).astype(np.uint8) * 255
        tifffile.imwrite(prediction, pages, photometric="minisblack")
    return tmp_path / "run"


@pytest.fixture
def page(run, image, tmp_path):
    write_choice_page(tmp_path / "choose.html", run, [image])
    return tmp_path / "choose.html"


def by(run, epochs, candidates=EPOCHS):
    code = {epoch: code for code, epoch in epoch_codes(run, range(1, 8)).items()}
    return Choice(candidates=candidates, picks=tuple(code[epoch] for epoch in epochs))


def test_page_is_self_contained_and_hides_epochs(page, run):
    text = page.read_text()
    assert not re.search(r'(src|href)="(?!data:|#)', text)
    assert "epoch" not in text.lower().replace("which of the epochs", "")
    data = json.loads(re.search(r'id="data">(.*?)</script>', text, re.DOTALL).group(1))
    codes = epoch_codes(run, range(1, EPOCHS + 1))
    assert list(data["candidates"]) == sorted(codes)
    order = [codes[code] for code in data["candidates"]]
    assert order not in (sorted(order), sorted(order, reverse=True))


def test_text_from_outside_is_escaped(page):
    assert "real &lt;b&gt;&amp;" in page.read_text()
    assert "<b>" not in page.read_text()


def test_the_same_run_gives_the_same_page(page, run, image, tmp_path):
    write_choice_page(tmp_path / "again.html", run, [image])
    assert (tmp_path / "again.html").read_bytes() == page.read_bytes()


def test_the_epoch_that_most_people_picked_is_first_then_the_one_picked_earlier(run):
    choices = {"Ada": by(run, [5, 6, 7, 4, 3]), "Bo": by(run, [6, 5, 2, 1, 7])}
    result = summarize_choices(run, choices)
    assert [item.epoch for item in result.ranked][:3] == [6, 5, 7]
    assert result.picks["Ada"] == (5, 6, 7, 4, 3)
    assert result.agreement == pytest.approx(3 / 5)
    assert result.agreement_by_chance == pytest.approx(5 / 7)
    assert summarize_choices(run, {"Ada": choices["Ada"]}).agreement is None


def test_choices_are_compared_with_the_truth(run, image):
    scored = rank_by_truth(run, [image])
    lines = format_choices(summarize_choices(run, {"Ada": by(run, [1, 2])}, scored), scored)
    parts = {item.epoch: item.parts for item in scored}
    expected = np.mean([parts[epoch]["pixel_f1"] for epoch in (1, 2)])
    (ada,) = (line for line in lines if line.startswith("Ada: epochs 1, 2,"))
    assert f"mean pixel_f1 {expected:.3f}" in ada
    best = [item.epoch for item in scored[:5]]
    assert any(line.startswith(f"best by truth: epochs {best[0]}, {best[1]}") for line in lines)


def test_a_choice_on_the_page_of_another_run_is_refused(run):
    with pytest.raises(InputError, match="chose 'abcdefabcdef', which is not an epoch"):
        summarize_choices(run, {"Ada": Choice(candidates=7, picks=("abcdefabcdef",))})


@pytest.mark.parametrize("text", ["", "[]", '{"format": "other"}', '{"picks": ["../x"]}'])
def test_files_other_than_choices_are_refused(text, tmp_path):
    (tmp_path / "mine.json").write_text(text)
    with pytest.raises(InputError, match=r"mine.json is not a choice"):
        read_choice(tmp_path / "mine.json")


def test_two_choices_of_one_person_are_refused(run, tmp_path):
    for name in "ab":
        choice = by(run, [1]).model_copy(update={"person": "Ada"})
        (tmp_path / f"{name}.json").write_text(choice.model_dump_json())
    with pytest.raises(InputError, match="two choices have the name 'Ada'"):
        read_choices([tmp_path / "a.json", tmp_path / "b.json"])


def test_ranked_epochs_are_printed_with_their_parts():
    assert str(RankedEpoch(3, 0.5, {"mean_place": 2.0})) == "epoch 3: 0.5000 (mean_place 2.000)"


class Browser:
    """A headless Chromium, driven over its pipe by the DevTools protocol."""

    def __init__(self, process, commands, answers):
        self.process, self.commands, self.answers = process, commands, answers
        self.number, self.session = 0, None

    def call(self, method, **parameters):
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        self.commands.write(json.dumps(message).encode() + b"\0")
        self.commands.flush()
        while True:
            answer = json.loads(self._read())
            if answer.get("id") == self.number:
                assert "error" not in answer, answer
                return answer["result"]

    def _read(self):
        text = bytearray()
        while (character := self.answers.read(1)) != b"\0":
            assert character, "the browser has gone"
            text += character
        return text

    def open(self, path):
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)[
            "sessionId"
        ]
        self.call("Page.navigate", url=path.as_uri())
        self.wait("document.readyState === 'complete' && !!document.getElementById('strip')")

    def value(self, expression):
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        return result["result"].get("value")

    def wait(self, expression):
        for _ in range(200):
            if self.value(expression):
                return
            time.sleep(0.05)
        raise AssertionError(f"{expression} never became true")

    def press(self, key, *kinds):
        text = {"text": key} if len(key) == 1 else {}
        for kind in kinds if kinds else ("keyDown", "keyUp"):
            more = text if kind == "keyDown" else {}
            self.call("Input.dispatchKeyEvent", type=kind, key=key, **more)

    def click(self, selector):
        place = f"document.querySelector({json.dumps(selector)})"
        self.value(f"{place}.scrollIntoView({{block: 'center'}})")
        box = self.value(f"{place}.getBoundingClientRect().toJSON()")
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)


@contextmanager
def chromium(profile, downloads):
    """Give a browser that saves what it downloads in a folder."""
    reads, writes = os.pipe(), os.pipe()
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"]
    flags += ["--disable-background-networking", "--disable-component-update"]
    flags += ["--remote-debugging-pipe", f"--user-data-dir={profile}", "--window-size=1300,1000"]
    # The browser reads commands from descriptor 3 and answers on 4, whatever these are here.
    code = "import fcntl, os, sys; "
    code += f"ends = [fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in ({reads[0]}, {writes[1]})]; "
    code += "os.dup2(ends[0], 3); os.dup2(ends[1], 4); os.execvp(sys.argv[1], sys.argv[1:])"
    command = [sys.executable, "-c", code, "chromium", *flags]
    kept = (reads[0], writes[1])
    process = subprocess.Popen(command, pass_fds=kept, stderr=subprocess.DEVNULL)
    for descriptor in kept:
        os.close(descriptor)
    with os.fdopen(reads[1], "wb") as commands, os.fdopen(writes[0], "rb") as answers:
        browser = Browser(process, commands, answers)
        browser.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(downloads))
        try:
            yield browser
        finally:
            process.terminate()
            process.wait(timeout=30)


@pytest.mark.skipif(shutil.which("chromium") is None, reason="no chromium on this machine")
def test_a_person_chooses_with_keys_and_mouse_and_the_export_selects(page, run, tmp_path):
    codes = sorted(epoch_codes(run, range(1, EPOCHS + 1)))
    downloads = tmp_path / "downloads"
    with chromium(tmp_path / "profile", downloads) as browser:
        browser.open(page)
        shown = "document.querySelector('#crops .outline').getAttribute('d')"
        first = browser.value(shown)
        for _ in range(3):
            browser.press("ArrowRight")
        assert browser.value("document.getElementById('where').textContent") == "Candidate 4 of 7"
        assert browser.value(shown) != first
        browser.press(" ")  # the fourth
        browser.press("ArrowLeft")
        browser.click("#pick")  # the third
        browser.click("#strip li:nth-child(7) button")
        browser.press(" ")
        browser.press(" ")  # taken back
        assert browser.value("document.getElementById('export').disabled") is True
        for number in (1, 2, 6):
            browser.click(f"#strip li:nth-child({number}) button")
            browser.press(" ")
        browser.press("h", "keyDown")
        hidden = "getComputedStyle(document.querySelector('#crops .outline')).display"
        assert browser.value(hidden) == "none"
        browser.press("h", "keyUp")
        assert browser.value(hidden) != "none"
        browser.press("End")
        browser.press(" ")  # a sixth is not taken
        browser.click("#person")
        for letter in "Eve":
            browser.press(letter)
        browser.click("#export")
        exported = downloads / "choice-Eve.json"
        for _ in range(100):
            if exported.is_file():
                break
            time.sleep(0.1)
    choice = read_choice(exported)
    assert choice.picks == tuple(codes[index] for index in (3, 2, 0, 1, 5))
    assert (choice.person, choice.candidates) == ("Eve", EPOCHS)
    picked = summarize_choices(run, read_choices([exported])).ranked[0].epoch
    assert picked == epoch_codes(run, range(1, EPOCHS + 1))[codes[3]]
