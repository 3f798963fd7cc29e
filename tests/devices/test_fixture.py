"""A dumped host repeats what its programs said and hides what it hid."""

from pathlib import Path

from devices.fixture import dump_tree
from devices.mounts import read_mounts
from devices.programs import Answer, Programs, run_program
from devices.virtual import find_runtime, find_virtualisation


def executable(path, text=""):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def test_endless_program_goes_on_in_whole_lines(tmp_path):
    """A program that had to be stopped is endless again; the line it was cut in is left out."""
    executable(tmp_path / "host/usr/bin/tegrastats")
    said = Answer(None, "RAM 1/2MB it's VDD_IN 4067/4067\nRAM 1/2MB VDD_")
    programs = Programs(tmp_path / "host", lambda words, timeout_s: said)
    assert dump_tree(tmp_path / "host", tmp_path / "copy", programs) == 1
    script = str(tmp_path / "copy/bin/tegrastats")
    again = run_program([script, "--interval", "500"], 0.5)
    assert again == Answer(None, "RAM 1/2MB it's VDD_IN 4067/4067\n")


def test_program_answers_each_question_as_it_did(tmp_path):
    """Different arguments have their own text and status; an unknown question fails."""
    executable(tmp_path / "host/bin/vcgencmd")
    answers = {
        "get_throttled": Answer(0, "throttled=0x0\n"),
        "measure_temp": Answer(255, "no\n", "it's closed\n"),
    }
    programs = Programs(
        tmp_path / "host", lambda words, timeout_s: answers.get(words[1], Answer(1, "%s 'x' $y\n"))
    )
    programs.ask("vcgencmd", "get_throttled")
    dump_tree(tmp_path / "host", tmp_path / "copy", programs)
    copied = Programs(tmp_path / "copy")
    assert copied.ask("vcgencmd", "get_throttled") == "throttled=0x0\n"
    assert copied.ask("vcgencmd", "measure_temp") == "no\n"
    assert copied.answers["vcgencmd", "measure_temp"] == answers["measure_temp"]
    assert copied.ask("vcgencmd", "pmic_read_adc") == "%s 'x' $y\n"
    assert copied.ask("vcgencmd", "else") == ""


def test_forbidden_file_stays_forbidden(tmp_path, monkeypatch):
    """A counter that only root may read is there without content, readable by nobody."""
    name = "sys/class/powercap/intel-rapl:0/energy_uj"
    source = tmp_path / "host" / name
    source.parent.mkdir(parents=True)
    source.write_text("12345\n")
    real_open = Path.open

    def guarded(path, *words, **options):
        if path == source:
            raise PermissionError(13, "Permission denied")
        return real_open(path, *words, **options)

    monkeypatch.setattr(Path, "open", guarded)
    dump_tree(tmp_path / "host", tmp_path / "copy", Programs(tmp_path / "host"))
    copied = tmp_path / "copy" / name
    assert copied.stat().st_mode & 0o777 == 0
    assert copied.stat().st_size == 0


def test_only_listed_files_are_taken(tmp_path):
    """What no pattern names stays on the host."""
    for name in ("etc/shadow", "etc/nv_tegra_release", "home/me/key", "proc/meminfo"):
        path = tmp_path / "host" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    dump_tree(tmp_path / "host", tmp_path / "copy", Programs(tmp_path / "host"))
    copied = {
        str(p.relative_to(tmp_path / "copy")) for p in (tmp_path / "copy").rglob("*") if p.is_file()
    }
    assert copied == {"etc/nv_tegra_release", "proc/meminfo"}


def test_container_is_known_again_and_its_secrets_stay(tmp_path):
    """Of process 1 only what runs the container is kept; of mounts no user and no server."""
    host = tmp_path / "host"
    for name, text in {
        "proc/1/environ": "TOKEN=sesame\0container=lxc\0KUBERNETES_SERVICE_HOST=10.9.8.7\0",
        "proc/self/mountinfo": "1 0 0:1 / / rw - overlay overlay rw,lowerdir=/home/ann/.local/share"
        "/docker/overlay2/1\n2 0 0:2 /x /data rw - nfs4 files.lan:/x rw,addr=10.1.2.3\n"
        "3 0 0:3 / /sys/firmware ro - tmpfs tmpfs ro\n",
    }.items():
        (host / name).parent.mkdir(parents=True, exist_ok=True)
        (host / name).write_text(text)
    dump_tree(host, tmp_path / "copy", Programs(host))
    copied = "".join(p.read_text() for p in (tmp_path / "copy").rglob("*") if p.is_file())
    for private in ("sesame", "10.9.8.7", "ann", "files.lan", "10.1.2.3", "/data"):
        assert private not in copied
    assert find_virtualisation(tmp_path / "copy") == find_virtualisation(host)
    assert find_runtime(tmp_path / "copy") == find_runtime(host) == "kubernetes"
    assert [m.place for m in read_mounts(tmp_path / "copy")] == ["/", "/sys/firmware"]
