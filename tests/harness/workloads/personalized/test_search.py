"""Search by the paper's example: anchor, rising indices, own blocks at the end."""

import itertools

import numpy as np
import pytest

from harness.workloads.personalized.server.search import Pool, chains, is_head
from models.personalized.assembly import BlockName
from models.personalized.families import FAMILIES


def parts_of(owner, family):
    return tuple(BlockName(owner, family, i) for i in range(len(FAMILIES[family].blocks) + 2))


# four clients with 4, 5, 4 and 5 blocks; their last ones are heads, which only heads replace
NETS = {1: "tiny", 2: "mobile", 3: "small", 4: "residual"}
GROUPS = {1: (1, 2, 3, 4), 2: (1, 3, 2, 3, 4), 3: (1, 3, 2, 4), 4: (2, 1, 3, 3, 4)}
OWN = {c: parts_of(c, family) for c, family in NETS.items()}
POOL = Pool([p for c in NETS for p in OWN[c]], [g for c in NETS for g in GROUPS[c]])
GROUP = dict(zip(POOL.parts, POOL.groups, strict=True))


class Draws:
    """Draw a given anchor, and leave every order as it is."""

    def __init__(self, anchor):
        self.anchor = anchor

    def integers(self, count):
        return self.anchor % count

    def permutation(self, count):
        return np.arange(count)


def brute_force(client, anchor):
    """All chains by the definition, without any search."""
    own, groups = OWN[client], GROUPS[client]
    found = set()

    def grow(path):
        place = len(path)
        if place == len(own):
            found.add(path)
            return
        next_ones = [p for p in POOL.parts
                     if GROUP[p] == groups[place] and is_head(p) == is_head(own[place])
                     and p.index > path[-1].index]  # fmt: skip
        if not next_ones:
            found.add((*path, *own[place:]))
        for part in next_ones:
            grow((*path, part))

    grow((anchor,))
    return found


@pytest.mark.parametrize("client", NETS)
def test_chains_are_all_that_the_definition_gives(client) -> None:
    like_first = POOL.like(OWN[client][0], GROUPS[client][0])
    for number, anchor in enumerate(like_first):
        found = list(chains(OWN[client], GROUPS[client], POOL, Draws(number), most=10_000))
        assert set(found) == brute_force(client, anchor)
        assert len(found) == len(set(found))


def test_the_papers_example_goes_on_from_the_second_block_of_client_4() -> None:
    """Anchor c4.2 of group 1: of group 2 only c2.3 and c3.3 have a higher index."""
    anchors = POOL.like(OWN[1][0], 1)
    number = anchors.index(OWN[4][1])
    found = list(chains(OWN[1], GROUPS[1], POOL, Draws(number), most=10_000))
    assert {chain[1].text for chain in found} == {"c2.3", "c3.3"}


@pytest.mark.parametrize(("client", "seed"), list(itertools.product(NETS, range(10))))
def test_indices_rise_up_to_the_completion_and_lengths_are_the_own(client, seed) -> None:
    own = OWN[client]
    for chain in chains(own, GROUPS[client], POOL, np.random.default_rng(seed)):
        assert len(chain) == len(own)
        cut = next((r for r in range(len(own)) if chain[r:] == own[r:]), len(own))
        indices = [part.index for part in chain[:cut]]
        assert indices == sorted(set(indices))
        assert all(GROUP[part] == group for part, group in zip(chain, GROUPS[client], strict=True))
        assert is_head(chain[-1])
        assert not any(map(is_head, chain[:-1]))


def test_one_client_alone_has_its_own_chain_only() -> None:
    own = OWN[1]
    found = list(chains(own, GROUPS[1], Pool(own, GROUPS[1]), np.random.default_rng(0)))
    assert found == [own]


def test_chains_are_no_more_than_asked_for_and_the_same_seed_finds_the_same() -> None:
    first, second = (
        list(chains(OWN[4], GROUPS[4], POOL, np.random.default_rng(3), most=5)) for _ in range(2)
    )
    assert first == second
    assert len(first) <= 5
