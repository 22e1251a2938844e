"""An event log as a public API lists it: who did what to which repository, with nested actor, repository and payload.
Seeded. What repeats and how often follows such logs: few actors and repositories make most events (Zipf), the objects that
describe them come again whole; ids of events, times, hashes and texts of commits are new each time."""
import json
import random

KINDS = ("PushEvent", "WatchEvent", "PullRequestEvent", "IssueCommentEvent", "CreateEvent", "ForkEvent")
SHARES = (50, 15, 12, 12, 8, 3)
VERBS = "Add Fix Remove Update Refactor Document Test Rename Merge Revert".split()
WORDS = ("parser cache index reader writer session handler config limit error message table query token buffer layout header retry "
         "timeout thread lock queue path name value report build release test docs").split()
BRANCHES = ("refs/heads/main", "refs/heads/master", "refs/heads/dev", "refs/heads/release")
SITE = "https://api.example.org"


class Zipf:
    """Picks one of `count` numbers, the n-th with a likelihood of 1/n."""

    def __init__(self, source, count):
        self.source, self.numbers, self.weights, total = source, range(count), [], 0.0
        for rank in range(1, count + 1):
            total += 1 / rank
            self.weights.append(total)

    def pick(self):
        return self.source.choices(self.numbers, cum_weights=self.weights)[0]


def describe_actor(number):
    login = f"{WORDS[number % len(WORDS)]}-{number}"
    return {"id": 1_000_000 + number * 37, "login": login, "display_login": login, "gravatar_id": "", "url": f"{SITE}/users/{login}",
            "avatar_url": f"https://avatars.example.org/u/{1_000_000 + number * 37}?"}


def describe_repository(number, actors):
    name = f"{describe_actor(number % actors)['login']}/{WORDS[number * 7 % len(WORDS)]}{number}"
    return {"id": 50_000_000 + number * 101, "name": name, "url": f"{SITE}/repos/{name}"}


def describe_commit(choice, actor, repository):
    sha = f"{choice.getrandbits(160):040x}"
    words = " ".join(choice.choice(WORDS) for _ in range(choice.randrange(2, 6)))
    return {"sha": sha, "author": {"email": f"{actor['login']}@users.example.org", "name": actor["login"]},
            "message": f"{choice.choice(VERBS)} {words}", "distinct": choice.random() < 0.95, "url": f"{repository['url']}/commits/{sha}"}


def describe_payload(choice, kind, actor, repository):
    if kind == "PushEvent":
        commits = [describe_commit(choice, actor, repository) for _ in range(min(int(choice.expovariate(0.8)) + 1, 20))]
        return {"push_id": choice.randrange(10**10), "size": len(commits), "distinct_size": sum(c["distinct"] for c in commits),
                "ref": choice.choice(BRANCHES), "head": commits[-1]["sha"], "before": f"{choice.getrandbits(160):040x}", "commits": commits}
    if kind == "WatchEvent":
        return {"action": "started"}
    if kind == "CreateEvent":
        return {"ref": None, "ref_type": "branch", "master_branch": "main", "description": "", "pusher_type": "user"}
    return {"action": choice.choice(("opened", "closed", "created")), "number": choice.randrange(1, 5000), "sender": actor, "repository": repository,
            "labels": choice.sample(("bug", "feature", "docs", "help wanted", "question"), choice.randrange(3))}


def make_events(count, seed=1):
    """As json.loads gives them: every value an object of its own, keys shared within the document."""
    choice = random.Random(seed)
    actor_count, repository_count = max(count // 5, 10), max(count // 4, 10)
    actors, repositories = Zipf(choice, actor_count), Zipf(choice, repository_count)
    events, when = [], 1_600_000_000
    for number in range(count):
        when += choice.random() < 0.4
        kind = choice.choices(KINDS, SHARES)[0]
        actor, repository = describe_actor(actors.pick()), describe_repository(repositories.pick(), actor_count)
        events.append({"id": str(20_000_000_000 + number * 13), "type": kind, "actor": actor, "repo": repository,
                       "payload": describe_payload(choice, kind, actor, repository), "public": True,
                       "created_at": f"2021-03-{1 + when // 86400 % 28:02d}T{when // 3600 % 24:02d}:{when // 60 % 60:02d}:{when % 60:02d}Z"})
    return json.loads(json.dumps(events))
