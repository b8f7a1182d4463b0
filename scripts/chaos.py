"""``make chaos``: rounds of random faults on one server that lives through all of them; prints a table of times."""

import argparse
import random
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "acceptance"))
import chaos
from black_box import Resit, Suites


def main() -> int:
    """Do what the module says; 1 when an account was not true."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=24)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--fault", default="", help="only faults whose name holds this")
    args = parser.parse_args()
    chance = random.Random(args.seed)
    faults = [fault for fault in chaos.FAULTS if args.fault in fault.name]
    print(f"{args.rounds} rounds, --seed {args.seed}\n\n{chaos.HEAD}")
    bad = 0
    with tempfile.TemporaryDirectory(prefix="resit-chaos-") as folder:
        here = Path(folder)
        suite = Suites(here)(chaos.files())
        resit = Resit(here)
        resit.start()
        try:
            for number in range(args.rounds):
                # Each fault comes up, the rest is chance.
                fault = faults[number] if number < len(faults) else chance.choice(faults)
                found = chaos.strike(resit, suite, here / "log", fault, chance)
                print(found.row(), flush=True)
                bad += bool(found.problems)
        finally:
            resit.close()
            if bad:
                Path("chaos-server.log").write_text(resit.log())
    print(f"\n{args.rounds - bad} of {args.rounds} accounts are true")
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
