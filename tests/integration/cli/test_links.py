#!/usr/bin/env python3
"""Links of the pages lead somewhere: the file is there, and has a heading of that name."""
import glob
import os
import re
import unittest

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..", ".."))
PAGES = [path for pattern in ("README.md", "docs/*.md", "deploy/**/*.md", "tests/**/*.md")
         for path in glob.glob(os.path.join(ROOT, pattern), recursive=True)]


def text_of(path):
    """Without blocks of code."""
    with open(path, encoding="utf-8") as page:
        return re.sub(r"^```.*?^```", "", page.read(), flags=re.S | re.M)


def anchor(heading):
    bare = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading.strip().lower())
    return re.sub(r"[^\w\- ]", "", bare).replace(" ", "-")


def anchors(path):
    return {anchor(heading) for heading in re.findall(r"^#+ (.*)$", text_of(path), re.M)}


class Links(unittest.TestCase):
    def test_each_leads_to_a_file_and_a_heading(self):
        self.assertGreater(len(PAGES), 25)
        links = 0
        for page in PAGES:
            for text, target in re.findall(r"\[([^\]]*)\]\(([^)\s]+)\)", text_of(page)):
                if re.match(r"https?:", target):
                    continue
                links += 1
                where = f"{os.path.relpath(page, ROOT)}: [{text}]({target})"
                name, _, heading = target.partition("#")
                path = os.path.normpath(os.path.join(os.path.dirname(page), name)) if name else page
                self.assertTrue(os.path.exists(path), where)
                if heading and path.endswith(".md"):
                    self.assertIn(heading, anchors(path), where)
                if name and text.endswith(".md"):
                    self.assertEqual(os.path.basename(text), os.path.basename(path), where)
        self.assertGreater(links, 150)


if __name__ == "__main__":
    unittest.main()
