"""Who a text of the demo is about: the things of one domain, and what fills the slots of a template."""

import random
from collections.abc import Iterator

from finesweep.data.demo.world import DOMAINS, Domain, Organisation, Person, Place, Work, World

DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()


def scenes(
    world: World, count: int, *, writer: str, seed: int, unseen: float, domains: tuple[Domain, ...] = DOMAINS
) -> Iterator[tuple["Cast", Domain, random.Random]]:
    """For each row of a writer whom it is about: a cast, its domain, and the generator to draw with.

    Args:
        world: the things to write about.
        count: how many rows.
        writer: two writers with one seed draw different things.
        seed: decides what is written.
        unseen: the fraction of rows that are about held-out things.
        domains: what to write about, in equal shares.
    """
    rng = random.Random(f"finesweep-{writer}-{seed}")
    players = {(domain, held): Cast(world, domain, held) for domain in domains for held in (False, True)}
    for index in range(count):
        domain = domains[index % len(domains)]
        yield players[domain, rng.random() < unseen], domain, rng


class Cast:
    """The things of one domain, known or held out, from which a sentence draws its players."""

    def __init__(self, world: World, domain: Domain, held_out: bool) -> None:
        def mine(thing: Person | Organisation | Work) -> bool:
            return thing.domain == domain and thing.held_out == held_out

        self.places: list[Place] = [p for p in world.places if p.held_out == held_out]
        self.people = [p for p in world.people if mine(p)]
        self.organisations = [o for o in world.organisations if mine(o)]
        self.works = [w for w in world.works if mine(w)]

    def draw(self, rng: random.Random) -> dict[str, str]:
        """A value for every slot; the person's employer and its seat belong together."""
        person, other = rng.sample(self.people, 2)
        other_org = rng.choice([o for o in self.organisations if o.name != person.employer.name])
        place, other_place = rng.sample(self.places, 2)
        work, other_work = rng.sample(self.works, 2)
        slots = {
            "person": person.name, "family": person.family,
            "other_person": other.name, "other_family": other.family,
            "org": person.employer.name, "other_org": other_org.name, "seat": person.employer.seat.name,
            "place": place.name, "other_place": other_place.name, "country": place.country,
            "work": work.name, "other_work": other_work.name,
            "day": rng.choice(DAYS), "number": str(rng.randrange(2, 900)),
            "score": f"{rng.randrange(5)} - {rng.randrange(5)}",
        }  # fmt: skip
        for kind in ("drug", "trial"):
            named = [w.name for w in self.works if w.kind == kind]
            if len(named) > 1:
                slots[kind], slots[f"other_{kind}"] = rng.sample(named, 2)
        return slots
