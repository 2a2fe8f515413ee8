"""Disks that fill up: a file system of a few kilobytes, and a limit on the size of a file."""

import os
import subprocess

from campaign import Campaign, Finding
from writers import Undisturbed, contents, leftovers, writers

LIMITED = ["bash", "-c", 'trap "" XFSZ; exec prlimit --fsize="$0" "$@"']


class Disk(Campaign):
    name = "disk"
    share = 1.5

    def prepare(self):
        self.writers = writers(self.inputs)
        self.undisturbed = Undisturbed(self, self.writers)
        self.sizes = {writer.name: sum(map(len, self.undisturbed.results[writer.name].values()))
                      for writer in self.writers}
        probe = self.inputs.folder / "disk-probe"
        probe.mkdir()
        self.mounts = self.mount(probe, 1 << 16)
        if self.mounts:
            subprocess.run(["umount", probe], check=True)
        else:
            print("    disk: only limits on the size of a file: mounting a small file system takes root", flush=True)

    @staticmethod
    def mount(folder, size):
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "moult-torture", folder]
        return os.geteuid() == 0 and subprocess.run(command, stderr=subprocess.DEVNULL).returncode == 0

    def case(self, number, chance, folder):
        writer = self.writers[number % len(self.writers)]
        size = int(self.sizes[writer.name] * chance.uniform(0, 1.3))
        if self.mounts and chance.random() < 0.6:
            small = folder / "small"
            small.mkdir()
            # At least room for what was there before.
            size = max(size, (os.path.getsize(writer.before) if writer.before else 0) + 8192)
            if not self.mount(small, size):
                return []
            try:
                return self.tried(writer, small, "full file system", ())
            finally:
                subprocess.run(["umount", "-l", small], check=True)
        return self.tried(writer, folder, "limit on a file", [*LIMITED, str(size)])

    def tried(self, writer, folder, what, wrapper):
        writer.start(folder)
        subject = f"{writer.name}, {what}"
        outcome, found = self.judge(writer.command, folder, subject, text=writer.text, wrapper=wrapper,
                                    one_line=not writer.lenient)
        found += [Finding(f.kind, f.words, subject, outcome) for f in self.undisturbed.allows(writer, folder)]
        whole = contents(folder / writer.output) == self.undisturbed.results[writer.name]
        if not found and outcome.code == 0 and not whole and not writer.lenient:
            found.append(Finding("silent", "exit code 0 and not what was to be written", subject, outcome))
        if leftovers(folder):
            found.append(Finding("failure", f"left behind: {', '.join(leftovers(folder)[:3])}", subject, outcome))
        return found
