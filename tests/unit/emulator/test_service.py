"""The rules of the emulated service, with time as an argument."""

import json

import pytest

from pipeline.emulator.bodies import BadBodyError, Submission
from pipeline.emulator.links import Links
from pipeline.emulator.replies import Reply
from pipeline.emulator.scenario import Scenario, Trouble
from pipeline.emulator.service import Delivery, Intake, RemoteTask, Service

KEY = "Bearer secret"
EVEN = {"median_seconds": 50.0, "spread": 0.0}


class Account:
    """A service and shorthand for its calls."""

    def __init__(self, scenario: Scenario, **options: object) -> None:
        self.service = Service(scenario, links=Links(b"s"), results_url="http://host", **options)

    def submit(self, now: float = 0.0, prompt: str = "", **more: object) -> tuple[Reply, RemoteTask | None]:
        submission = Submission("Wan-AI/Wan2.2-I2V", prompt=prompt, **more)
        return self.service.submit(now, KEY, submission, Intake("http://x/a.jpg"))

    def task(self, now: float = 0.0, prompt: str = "", **more: object) -> RemoteTask:
        reply, task = self.submit(now, prompt, **more)
        assert reply.status == 200
        assert task is not None
        return task

    def ask(self, now: float, task: RemoteTask) -> dict:
        reply = self.service.status(now, KEY, task.task_id)
        assert reply.status == 200
        return json.loads(reply.body)["output"]

    def fetch(self, now: float, url: str) -> Delivery | Reply:
        path, _, query = url.removeprefix("http://host").partition("?")
        return self.service.deliver(now, path, query, with_key=False)


def code_of(reply: Reply) -> str | None:
    return json.loads(reply.body)["error"]["code"]


def test_task_goes_from_running_to_success_when_its_time_is_over():
    """A task that has a machine runs from its acceptance and is a success from its finish on, not before."""
    account = Account(Scenario(**EVEN))
    task = account.task(now=1000.0)
    assert account.ask(1000.0, task)["task_status"] == "Running"
    assert account.ask(1049.9, task)["task_status"] == "Running"
    answer = account.ask(1050.0, task)
    assert answer["task_status"] == "Success"
    assert (answer["submit_time"], answer["finish_time"]) == (1000, 1050)
    assert len(answer["urls"]) == 1


def test_task_takes_less_when_speed_is_higher():
    """Speed divides the service's time."""
    task = Account(Scenario(**EVEN), speed=60.0).task(now=100.0)
    assert task.finished == pytest.approx(100 + 50 / 60)


def test_task_waits_when_every_machine_is_taken():
    """Tasks beyond the parallel ones are pending until the first machine is free, in the order of acceptance."""
    account = Account(Scenario(parallel=2, **EVEN))
    first, second, third = (account.task(now=float(number)) for number in range(3))
    assert [account.ask(2.0, task)["task_status"] for task in (first, second, third)] == [
        "Running",
        "Running",
        "Pending",
    ]
    assert account.ask(49.9, third)["task_status"] == "Pending"
    assert account.ask(50.0, third)["task_status"] == "Running"
    assert account.ask(100.0, third)["task_status"] == "Success"


def test_durations_are_the_same_when_the_seed_is():
    """A scenario plays the same way every time."""
    lives = [[Account(Scenario(seed=seed)).task().finished for _ in range(3)] for seed in (1, 1, 2)]
    assert lives[0] == lives[1] != lives[2]


def test_key_is_accepted_when_it_is_bare_or_a_bearer():
    """Both documented forms of the header are accepted, and any key unless one is set."""
    service = Service(Scenario(), links=Links(b"s"))
    assert service.models(0.0, "abc").status == service.models(0.0, "Bearer abc").status == 200
    assert {service.models(0.0, header).status for header in (None, "", "Bearer", "Bearer ", "a b c")} == {401}
    strict = Service(Scenario(), links=Links(b"s"), api_key="right")
    assert strict.models(0.0, "Bearer right").status == 200
    assert code_of(strict.models(0.0, "Bearer wrong")) == "auth_error"


def test_submit_is_refused_when_the_account_is_full():
    """The task at the limit is accepted, one past it is answered with 429, and an end makes room."""
    account = Account(Scenario(max_tasks=2, retry_after=3, **EVEN))
    account.task(), account.task()
    reply, task = account.submit(now=49.9)
    assert (reply.status, reply.headers["Retry-After"], task) == (429, "3", None)
    account.task(now=50.0)
    assert account.service.statistics().peak == 2


def test_call_is_refused_when_the_second_is_full():
    """The call at the limit is answered, one past it within the same second is not."""
    account = Account(Scenario(requests_per_second=2))
    answers = [account.service.models(now, KEY).status for now in (0.0, 0.5, 0.9, 1.0, 1.4, 1.5)]
    assert answers == [200, 200, 429, 200, 429, 200]


@pytest.mark.parametrize(("moderation", "status"), [("submit", 400), ("task", 200)])
def test_moderation_strikes_when_the_prompt_holds_a_marker(moderation, status):
    """A marked prompt is refused at the submit or fails as a task, as scripted, in any case of letters."""
    account = Account(Scenario(moderation=moderation, **EVEN))
    reply, task = account.submit(prompt="A FORBIDDEN Emblem on a flag")
    assert reply.status == status
    if task is None:
        assert code_of(reply) == "sensitive_check_error"
    else:
        answer = account.ask(50.0, task)
        assert answer["task_status"] == "Failure"
        assert "DataInspectionFailed" in answer["error_message"]
        assert "urls" not in answer


def test_task_fails_when_the_prompt_holds_a_failing_marker():
    """The default scenario fails tasks with its marker, after their time, with the wrapped upstream code."""
    account = Account(Scenario(**EVEN))
    task = account.task(prompt="walk the impossible staircase")
    assert account.ask(49.0, task)["task_status"] == "Running"
    assert account.ask(50.0, task)["error_message"].startswith("code=")


def test_task_fails_when_its_picture_is_none():
    """A picture that cannot be decoded fails the accepted task, as documented."""
    service = Service(Scenario(**EVEN), links=Links(b"s"))
    complaint = "code=InvalidParameter, message=invalid image"
    _, task = service.submit(0.0, KEY, Submission("Wan-AI/Wan2.2-I2V"), Intake(complaint=complaint))
    assert task is not None
    assert json.loads(service.status(50.0, KEY, task.task_id).body)["output"]["error_message"] == complaint


def test_body_complaint_is_the_answer_when_the_body_is_bad():
    """A refused body is answered with its own code, and no task is made."""
    service = Service(Scenario(), links=Links(b"s"))
    reply, task = service.submit(0.0, KEY, BadBodyError("param_error", "Invalid param: x"), Intake())
    assert (reply.status, code_of(reply), task) == (400, "param_error", None)
    envelope = json.loads(reply.body)["error"]
    assert len(envelope["param"]) == 36  # the request id, as the vendor's pages have it


@pytest.mark.parametrize(
    ("rule", "word"),
    [
        (Trouble(at="task", do="expire"), "Expired"),
        (Trouble(at="task", do="cancel"), "Cancelled"),
        (Trouble(at="task", do="fail", word="Failed", message=""), "Failed"),
        (Trouble(at="task", do="stick"), "Running"),
        (Trouble(at="task", do="long", seconds=100_000), "Running"),
    ],
)
def test_task_ends_as_scripted_when_a_rule_meets_it(rule, word):
    """Every documented end can be scripted, and so can none."""
    account = Account(Scenario(trouble=(rule,), **EVEN))
    answer = account.ask(99_999.0, account.task())
    assert answer["task_status"] == word
    assert "error_message" not in answer


def test_other_tasks_run_when_one_sticks():
    """A task that never ends does not keep a machine from the others."""
    account = Account(Scenario(parallel=1, trouble=(Trouble(at="task", do="stick", nth=(1,)),), **EVEN))
    account.task()
    assert account.ask(50.0, account.task())["task_status"] == "Success"


def test_success_has_no_urls_when_a_rule_withholds_them():
    """The first so many answers of Success carry no URL; questions before the end do not count."""
    account = Account(Scenario(trouble=(Trouble(at="success", do="no_urls", first=2),), **EVEN))
    task = account.task()
    account.ask(10.0, task)
    assert [len(account.ask(60.0, task)["urls"]) for _ in range(3)] == [0, 0, 1]


def test_word_is_strange_when_a_rule_says_so():
    """An undocumented word stands for the first questions and gives way to the true one."""
    account = Account(Scenario(trouble=(Trouble(at="status", do="word", word="Archiving", first=1),), **EVEN))
    task = account.task()
    assert [account.ask(60.0, task)["task_status"] for _ in range(2)] == ["Archiving", "Success"]


def test_task_has_several_files_when_a_rule_says_so():
    """Every file of a task has its own link, and each opens."""
    account = Account(Scenario(trouble=(Trouble(at="task", do="several", count=3),), **EVEN))
    urls = account.ask(60.0, account.task())["urls"]
    assert len(set(urls)) == 3
    assert all(isinstance(account.fetch(60.0, url), Delivery) for url in urls)


def test_task_exists_when_the_answer_is_lost_after_acceptance():
    """A rule with `accepted` makes the task first; the same rule without it makes none."""
    for accepted in (True, False):
        rule = Trouble(at="submit", do="drop", accepted=accepted)
        reply, task = Account(Scenario(trouble=(rule,))).submit()
        assert reply.dropped
        assert (task is not None) == accepted


def test_link_closes_when_it_expires():
    """A link works until its second and not from then on; a fresh question gives a fresh one."""
    account = Account(Scenario(link_seconds=10, **EVEN))
    task = account.task()
    url = account.ask(60.0, task)["urls"][0]
    assert isinstance(account.fetch(69.9, url), Delivery)
    assert account.fetch(70.0, url).status == 403
    assert isinstance(account.fetch(70.0, account.ask(70.0, task)["urls"][0]), Delivery)


def test_link_stays_closed_when_links_are_fixed():
    """With fixed links every question repeats the first signature, counted from the finish."""
    account = Account(Scenario(link_seconds=10, links="fixed", **EVEN))
    task = account.task()
    assert isinstance(account.fetch(59.0, account.ask(55.0, task)["urls"][0]), Delivery)
    assert account.fetch(60.0, account.ask(60.0, task)["urls"][0]).status == 403


def test_file_is_missing_when_the_path_names_none():
    """Paths of no task, of an unfinished task and of a file too many are 404."""
    account = Account(Scenario(**EVEN))
    task = account.task()
    for now, path in ((60.0, "/"), (60.0, "/output/x.mp4"), (60.0, f"/output/{task.task_id}-2.mp4")):
        assert account.fetch(now, path).status == 404
    assert account.fetch(10.0, f"/output/{task.task_id}.mp4").status == 404


def test_key_is_counted_when_it_reaches_the_result_host():
    """A key that travels to the result host is a leak and shows in the statistics."""
    account = Account(Scenario())
    account.service.deliver(0.0, "/output/x.mp4", "", with_key=True)
    account.service.deliver(0.0, "/output/x.mp4", "", with_key=False)
    assert (account.service.statistics().downloads, account.service.statistics().leaked_keys) == (2, 1)


def test_task_is_found_when_asked_by_its_external_id():
    """Kling's own id of the caller finds the task, and may not be used twice."""
    account = Account(Scenario(**EVEN))
    task = account.task(external_id="mine-1")
    assert json.loads(account.service.status(1.0, KEY, "mine-1").body)["output"]["task_id"] == task.task_id
    assert account.submit(external_id="mine-1")[0].status == 400


def test_tasks_go_on_when_the_service_is_built_again():
    """A service that is told its old tasks knows their ends, their links and the machines they hold."""
    first = Account(Scenario(parallel=1, **EVEN))
    old = first.task(now=0.0)
    again = Account(Scenario(parallel=1, **EVEN), known=[old])
    assert again.ask(60.0, old)["task_status"] == "Success"
    assert again.task(now=10.0).started == 50.0


@pytest.mark.parametrize("stamps", ["whole", "fractional", "none"])
def test_stamps_are_written_as_scripted_when_a_task_is_reported(stamps):
    """Whole seconds as documented, fractions, or none at all."""
    account = Account(Scenario(stamps=stamps, median_seconds=50.25, spread=0))
    answer = account.ask(60.0, account.task(now=0.5))
    expected = {"whole": (0, 50), "fractional": (0.5, 50.75), "none": (None, None)}[stamps]
    assert (answer.get("submit_time"), answer.get("finish_time")) == expected
