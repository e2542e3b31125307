"""Completions a second: our `accuracy` against TRL's `accuracy_reward`, in the same run, on the same rows.

    python benchmarks/rewards.py --rows 2000

Both sides run in a fresh process with cold caches, pinned to one core (our math-verify process shares it), after a few
other rows that load what is loaded lazily; then in N processes on N cores. Speeds are completions per second of processor
time, our math-verify process included, so that a busy machine changes them little; the clock's are printed beside. No two rows have the same answer, half of the
answers are wrong, at least half of the expressions are spelled unlike their gold, and every completion carries 300 words of
thinking. The rows say themselves whether the answer is right, so each disagreement has a winner. The mix is 70% numbers,
letters and text in equal parts, 20% expressions, 10% tuples, sets and intervals. The last line is one JSON object.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

WORDS = [
    "the",
    "figure",
    "shows",
    "two",
    "sides",
    "so",
    "we",
    "add",
    "them",
    "wait",
    "check",
    "angle",
    "again",
    "then",
    "follows",
]
CHUNK = 32


def numbers(chance: random.Random) -> Iterator[tuple[str, str, bool]]:
    for i in range(10**6):
        value, right = 1000 + 7 * i, chance.random() < 0.5
        given = value if right else value + 1 + i % 5
        spelling = chance.choice(["{0}", "{0:,}", "{0}.0", "{0}\\text{{ cm}}", "{0}.00", "{0:,}.0"])
        yield spelling.format(given), f"${value}$", right


def letters(chance: random.Random) -> Iterator[tuple[str, str, bool]]:
    for i in range(10**6):
        gold = chance.choice("ABCD")
        right = chance.random() < 0.5
        given = gold if right else chance.choice([letter for letter in "ABCD" if letter != gold])
        yield f"\\text{{{given}) choice {i}}}", gold, right


def texts(chance: random.Random) -> Iterator[tuple[str, str, bool]]:
    names = ["triangle", "circle", "square", "trapezoid", "hexagon", "cylinder"]
    for i in range(10**6):
        gold, right = (
            f"{chance.choice(names)} {chr(97 + i % 26)}{chr(97 + i // 26 % 26)}{chr(97 + i // 676 % 26)}",
            chance.random() < 0.5,
        )
        yield f"\\text{{{gold.title() if right else gold + 's'}}}", gold, right


def expressions(chance: random.Random) -> Iterator[tuple[str, str, bool]]:
    """Five of seven are plain algebra; the logarithm and the equation of a line only math-verify can judge."""
    for i in range(10**6):
        a, b, right = 2 + i, 3 + chance.randrange(50), chance.random() < 0.5
        wrong = 0 if right else 1
        gold, given = [
            (f"(x+{a})(x-{b})", f"x^2+{a - b + wrong}x-{a * b}".replace("+-", "-")),
            (f"\\sqrt{{{a * a * 3}}}", f"{a + wrong}\\sqrt{{3}}"),
            (f"\\frac{{{a}\\pi}}{{{b}}}", f"\\frac{{{2 * a + wrong}\\pi}}{{{2 * b}}}"),
            (f"{a}x+{b}", f"{b}+{a + wrong}x"),
            (f"{a}y^2-{b}", f"{a + wrong}y^2-{b}"),
            (f"\\log_{{2}}({a})", f"\\log_{{2}}({a + wrong})+0"),
            (f"y={a}x+{b}", f"y={b}+{a + wrong}x"),
        ][i % 7]
        yield given, f"${gold}$", right


def collections(chance: random.Random) -> Iterator[tuple[str, str, bool]]:
    for i in range(10**6):
        a, b, right = i, chance.randrange(100), chance.random() < 0.5
        c = a if right else a + 1
        gold, given = [
            (f"({a},{b})", f"({c}, {b})"),
            (f"{{{a},{b + 0.5}}}", f"\\{{{b + 0.5}, {c}\\}}"),
            (f"[{a},\\infty)", f"[{c}, \\infty)"),
        ][i % 3]
        yield given, gold, right


def build(kind: str, rows: int, seed: int) -> list[tuple[str, str, bool]]:
    """Completions, golds and whether the answer is right; a seed gives rows that no other seed gives."""
    chance = random.Random(f"{kind} {seed}")
    sources = {maker.__name__: maker(chance) for maker in (numbers, letters, texts, expressions, collections)}
    simple = ["numbers", "letters", "texts"]
    order = {
        "simple": lambda i: simple[i % 3],
        "expressions": lambda i: "expressions",
        "mix": lambda i: simple[i % 3] if i % 10 < 7 else "expressions" if i % 10 < 9 else "collections",
    }[kind]
    for source in sources.values():
        for _ in range(seed * rows):
            next(source)
    built = []
    for i in range(rows):
        given, gold, right = next(sources[order(i)])
        thinking = " ".join(chance.choices(WORDS, k=300))
        built.append((f"<think> {thinking} </think><answer> Final Answer:\\boxed{{{given}}} </answer>", gold, right))
    return built


def processor_seconds(pid: int) -> float:
    """Processor time that a process and all below it have used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    used = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return used + sum(processor_seconds(int(child)) for child in children)


def measure(side: str, kind: str, rows: int, seed: int) -> None:
    """In a process of its own: warm up on other rows, then score; prints seconds and scores."""
    if side == "ours":
        from open_vr1.rewards import accuracy as reward
    else:
        from trl.rewards import accuracy_reward as reward

    def score(batch: list[tuple[str, str, bool]]) -> list[float | None]:
        return reward(
            [[{"role": "assistant", "content": row[0]}] for row in batch], solution=[row[1] for row in batch]
        )

    score(build("mix", 40, seed + 1000))
    batches = build(kind, rows, seed)
    start, used = time.perf_counter(), processor_seconds(os.getpid())
    scores = [value for i in range(0, rows, CHUNK) for value in score(batches[i : i + CHUNK])]
    used = processor_seconds(os.getpid()) - used
    print(json.dumps({"seconds": used, "clock": time.perf_counter() - start, "scores": scores}))


def run(side: str, kind: str, rows: int, processes: int) -> tuple[float, float, list[list[float | None]]]:
    """Completions per second of processor time and of the clock, over all processes, and each one's scores."""
    cores = sorted(os.sched_getaffinity(0))[:processes]
    command = [sys.executable, __file__, "--side", side, "--kind", kind, "--rows", str(rows), "--seed"]
    children = [
        subprocess.Popen(
            ["taskset", "-c", str(core), *command, str(seed)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        for seed, core in enumerate(cores)
    ]
    results = [json.loads(child.communicate()[0].splitlines()[-1]) for child in children]
    total = len(cores) * rows
    speeds = [total / max(result[clock] for result in results) for clock in ("seconds", "clock")]
    return *speeds, [result["scores"] for result in results]


def compare(kind: str, rows: int) -> dict[str, list]:
    """The rows on which both sides gave a score and the scores differ, and the others by what happened."""
    found = {"agree": [], "disagree": [], "trl_skipped": [], "ours_skipped": []}
    *_, [ours] = RESULTS["ours", kind, 1]
    *_, [theirs] = RESULTS["trl", kind, 1]
    for row, our, their in zip(build(kind, rows, 0), ours, theirs, strict=True):
        key = (
            "ours_skipped"
            if our is None
            else "trl_skipped"
            if their is None
            else "agree"
            if our == their
            else "disagree"
        )
        found[key].append((row, our, their))
    return found


RESULTS: dict[tuple[str, str, int], tuple[float, float, list]] = {}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=2000, help="of each kind; a fifth of it for expressions")
    parser.add_argument("--processes", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--side", choices=["ours", "trl"], help=argparse.SUPPRESS)
    parser.add_argument("--kind", help=argparse.SUPPRESS)
    parser.add_argument("--seed", type=int, default=0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        measure(options.side, options.kind, options.rows, options.seed)
        return
    sizes = {"simple": options.rows, "expressions": options.rows // 5, "mix": options.rows}
    figures: dict[str, object] = {}
    for processes in sorted({1, options.processes}):
        for kind, rows in sizes.items():
            for side in ("trl", "ours"):
                RESULTS[side, kind, processes] = run(side, kind, rows, processes)
            (ours, our_clock, _), (theirs, their_clock, _) = (
                RESULTS[side, kind, processes] for side in ("ours", "trl")
            )
            print(
                f"{kind:12} {processes} process(es): ours {ours:7.0f}/s  TRL {theirs:7.0f}/s  {ours / theirs:6.1f}x"
                f"  (by the clock {our_clock:.0f}/s and {their_clock:.0f}/s)",
                flush=True,
            )
            suffix = "" if processes == 1 else f"_{processes}_processes"
            figures[f"speedup_vs_trl_{kind}{suffix}"] = round(ours / theirs, 2)
            figures[f"ours_per_second_{kind}{suffix}"] = round(ours)
            figures[f"trl_per_second_{kind}{suffix}"] = round(theirs)
    counts = {"agree": 0, "disagree": 0, "ours_right": 0, "trl_right": 0}
    for kind, rows in sizes.items():
        found = compare(kind, rows)
        counts["agree"] += len(found["agree"])
        counts["disagree"] += len(found["disagree"])
        for (completion, gold, right), our, their in found["disagree"]:
            winner = "ours" if our == float(right) else "trl"
            counts[f"{winner}_right"] += 1
            if counts["disagree"] <= 40 or winner == "trl":
                answer = completion.partition("<answer>")[2].removesuffix("</answer>").strip()
                print(f"disagree: {answer!r} gold {gold!r}: ours {our}, TRL {their}; {winner} is right")
        wrong = sum(our != float(right) for part in found.values() for (_, _, right), our, _ in part)
        print(
            f"{kind}: TRL skipped {len(found['trl_skipped'])} of {rows}, ours {len(found['ours_skipped'])}; ours wrong {wrong}"
        )
        figures[f"trl_skipped_{kind}"] = round(len(found["trl_skipped"]) / rows, 3)
        figures[f"ours_wrong_{kind}"] = wrong
    print(json.dumps({**figures, **counts}))


if __name__ == "__main__":
    main()
