"""Who trains which run: nobody twice, nobody's left behind."""

import multiprocessing
import os
import shutil
import signal
import sys
import threading
from pathlib import Path

import pytest

from delaytool.errors import SweepError
from delaytool.experiments.sweep.folder import SweepFolder
from delaytool.experiments.sweep.job import Train
from delaytool.experiments.sweep.processes import work_in_processes
from delaytool.experiments.sweep.worker import work
from delaytool.trainer.loop import train
from delaytool.trainer.run_folder import RunFolder


def silent(news):
    pass


def test_workers_that_share_a_folder_train_every_run_once(tmp_path, quick, settings, monkeypatch):
    crashes = []
    monkeypatch.setattr(threading, "excepthook", crashes.append)
    asked = settings("seed=0..19")
    job = quick()
    SweepFolder(tmp_path, job).queue(asked)
    workers = [threading.Thread(target=work, args=(tmp_path, job, silent)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not crashes
    assert sorted(job.trained) == sorted(setting.name for setting in asked)
    work(tmp_path, job, silent)
    assert len(job.trained) == 20


def test_requests_too_many_do_no_harm(tmp_path, quick, settings):
    job = quick()
    folder = SweepFolder(tmp_path, job)
    for _ in range(3):
        for setting in settings("seed=0..1"):
            folder.journal.queue(setting)
    work(tmp_path, job, silent)
    assert job.trained == ["seed=0", "seed=1"]


def test_asking_again_queues_nothing_twice_and_more_values_extend(tmp_path, quick, settings):
    job = quick()
    folder = SweepFolder(tmp_path, job)
    for _ in range(2):
        folder.queue(settings("seed=0..2"))
    assert len(folder.journal.study.trials) == 3
    work(tmp_path, job, silent)
    folder.queue(settings("seed=1..4"))
    work(tmp_path, job, silent)
    assert job.trained == [f"seed={seed}" for seed in range(5)]


def test_a_run_whose_process_died_is_taken_up_by_the_next(tmp_path, quick, settings):
    def dies(recipe):
        raise KeyboardInterrupt

    folder = SweepFolder(tmp_path, quick(dies))
    folder.queue(settings("seed=0..1"))
    with pytest.raises(KeyboardInterrupt):
        work(tmp_path, quick(dies), silent)
    assert [setting.name for setting in folder.journal.running().values()] == ["seed=0"]
    job = quick()
    work(tmp_path, job, silent)
    assert job.trained == ["seed=1", "seed=0"]
    assert not folder.journal.running()


def test_a_run_whose_process_lives_is_left_to_it(tmp_path, quick, settings):
    job = quick()
    folder = SweepFolder(tmp_path, job)
    folder.queue(settings("seed=0..1"))
    claim = folder.claim()
    work(tmp_path, job, silent)
    assert job.trained == ["seed=1"]
    assert folder.at_work() == {"seed=0"}
    claim.lock.release()
    assert folder.at_work() == set()
    work(tmp_path, job, silent)
    assert job.trained == ["seed=1", "seed=0"]


def test_a_run_that_fails_is_recorded_and_stops_no_other(tmp_path, quick, settings):
    def second_fails(recipe):
        if recipe.seed == 1:
            raise MemoryError("no room")

    news = []
    folder = SweepFolder(tmp_path, quick(second_fails))
    folder.queue(settings("seed=0..2"))
    work(tmp_path, quick(second_fails), news.append)
    assert [item.kind for item in news] == ["finished", "failed", "finished"]
    assert folder.journal.errors() == {"seed=1": "MemoryError: no room"}
    job = quick()
    folder.queue(settings("seed=0..2"))
    work(tmp_path, job, silent)
    assert job.trained == []
    folder.queue(settings("seed=0..2"), retry_failed=True)
    work(tmp_path, job, silent)
    assert job.trained == ["seed=1"]
    assert folder.journal.errors() == {}


def test_a_failure_is_kept_where_another_process_withdrew_the_request(tmp_path, quick, settings):
    """Between taking a run and locking it: the other queues it anew, and drops that request at the lock."""
    slow, other = (SweepFolder(tmp_path, quick()) for _ in range(2))
    slow.queue(settings("seed=0..1"))
    trial, setting = slow.journal.take()
    assert other.free_abandoned() == 1
    lock = slow._lock(setting)
    lock.acquire(timeout=5)
    claim = other.claim()
    assert claim.setting.name == "seed=1"
    assert other.claim() is None
    claim.lock.release()
    slow.journal.fail(trial, "training diverged")
    lock.release()
    assert slow.journal.errors() == {"seed=0": "training diverged"}
    job = quick()
    other.queue(settings("seed=0..1"), retry_failed=True)
    work(tmp_path, job, silent)
    assert "seed=0" in job.trained
    assert other.journal.errors() == {}


def test_a_machine_on_which_nothing_starts_leaves_the_rest_to_others(tmp_path, quick, settings):
    def fails(recipe):
        raise SweepError("no such data")

    folder = SweepFolder(tmp_path, quick(fails))
    folder.queue(settings("seed=0..9"))
    with pytest.raises(SweepError, match=r"3 runs in a row failed before they began.*no such data.*--retry-failed"):
        work(tmp_path, quick(fails), silent)
    assert len(folder.journal.waiting()) == 7


def test_what_is_finished_is_known_by_the_run_folder_alone(tmp_path, quick, settings):
    job = quick()
    SweepFolder(tmp_path, job).queue(settings("seed=0..2"))
    work(tmp_path, job, silent)
    shutil.rmtree(tmp_path / "runs" / "seed=1")
    SweepFolder(tmp_path, job).queue(settings("seed=0..2"))
    work(tmp_path, job, silent)
    assert job.trained == ["seed=0", "seed=1", "seed=2", "seed=1"]
    (tmp_path / "journal.log").unlink()
    folder = SweepFolder(tmp_path, job)
    folder.queue(settings("seed=0..2"))
    work(tmp_path, job, silent)
    assert len(job.trained) == 4
    assert len(folder.journal.settings()) == 3


def test_another_recipe_or_other_keys_are_refused_by_name(tmp_path, quick, settings):
    folder = SweepFolder(tmp_path, quick())
    folder.queue(settings("seed=0..2"))
    with pytest.raises(SweepError, match=r"trainer.epochs was 3 and is 4 now; give the same recipe"):
        folder.queue(settings("seed=0..2", more=["trainer.epochs=4"]))
    with pytest.raises(SweepError, match=r"sweeps seed, not seed, model.max_delay"):
        folder.queue(settings("seed=0..2", "model.max_delay=1..2"))
    other = quick()
    other.purpose = "knit"
    with pytest.raises(SweepError, match="its runs are to train, not to knit"):
        SweepFolder(tmp_path, other)
    assert len(folder.journal.study.trials) == 3


def test_the_error_for_a_damaged_journal_names_the_way_out(tmp_path, quick, settings):
    SweepFolder(tmp_path, quick()).queue(settings("seed=0"))
    with (tmp_path / "journal.log").open("a") as file:
        file.write('{"half\n{"op_code":0}\n')
    with pytest.raises(SweepError, match="delete it and give the whole command again: finished runs stay"):
        SweepFolder(tmp_path, quick())


def test_an_interrupted_run_goes_on_to_the_same_bits(tmp_path, settings):
    (setting,) = settings("seed=3")

    def interrupts(news):
        if news.epochs >= 2:
            raise KeyboardInterrupt

    SweepFolder(tmp_path, Train()).queue([setting])
    with pytest.raises(KeyboardInterrupt):
        work(tmp_path, Train(), interrupts)
    run = RunFolder(tmp_path / "runs" / setting.name)
    assert run.last.exists()
    assert not run.summary.exists()
    work(tmp_path, Train(), silent)
    assert run.read_summary() == train(setting.recipe, tmp_path / "whole")


def test_a_run_killed_between_its_first_two_checkpoints_begins_anew(tmp_path, settings):
    (setting,) = settings("seed=3", more=["trainer.epochs=1"])
    SweepFolder(tmp_path, Train()).queue([setting])
    work(tmp_path, Train(), silent)
    run = RunFolder(tmp_path / "runs" / setting.name)
    before = run.read_summary()
    run.summary.unlink()
    run.last.unlink()
    SweepFolder(tmp_path, Train()).queue([setting])
    work(tmp_path, Train(), silent)
    assert run.read_summary() == before


def test_processes_train_what_one_process_trains(tmp_path, settings):
    asked = settings("seed=0..2", more=["trainer.epochs=1"])
    results = []
    for jobs in (1, 2):
        folder, news = SweepFolder(tmp_path / str(jobs), Train()), []
        folder.queue(asked)
        work_in_processes(folder.path, Train(), news.append, jobs)
        assert sorted(item.run for item in news if item.kind == "finished") == ["seed=0", "seed=1", "seed=2"]
        results.append([RunFolder(folder.run(setting)).read_summary() for setting in asked])
    assert results[0] == results[1]


def test_a_process_killed_while_it_writes_the_journal_does_not_block_the_next(tmp_path, quick, settings, monkeypatch):
    """Given by a relative path, as a user gives it: a link of Optuna's, left behind, would be waited for for ever."""
    monkeypatch.chdir(tmp_path)
    context = multiprocessing.get_context("fork")
    child = context.Process(target=killed_in_the_journal, args=(quick(), settings("seed=0")))
    child.start()
    child.join(60)
    assert child.exitcode == -signal.SIGKILL
    job = quick()
    worker = threading.Thread(target=go_on, args=(job, settings("seed=0..1")), daemon=True)
    worker.start()
    worker.join(20)
    assert not worker.is_alive(), "still waits for the lock of a dead process"
    assert sorted(job.trained) == ["seed=0", "seed=1"]


def killed_in_the_journal(job, asked):
    """The file is opened for a line while the lock is held."""
    folder = SweepFolder(Path("sweep"), job)
    sys.addaudithook(
        lambda event, arguments: (
            os.kill(os.getpid(), signal.SIGKILL)
            if event == "open" and str(arguments[0]).endswith("journal.log") and arguments[2] & os.O_APPEND
            else None
        )
    )
    folder.queue(asked)


def go_on(job, asked):
    SweepFolder(Path("sweep"), job).queue(asked)
    work(Path("sweep"), job, silent)
