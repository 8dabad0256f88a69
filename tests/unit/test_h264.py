from __future__ import annotations

from crafted import Bits, annex_b
from fields import FRAME_NUM_BITS, PPS, SPS_OF_FRAMES

from facehog_core.h264 import HeaderReader


def make_sps(*steps: int) -> bytes:
    """Return a parameter set of order type 1 with these steps from reference to reference, which are not negative."""
    codes = [max(2 * step - 1, 0) for step in steps]
    bits = Bits().u(8, 77).u(8, 0).u(8, 30).ue(0, FRAME_NUM_BITS - 4, 1).u(1, 1)
    return bits.ue(0, 0, len(codes), *codes, 2).u(1, 0).ue(9, 5).u(4, 0b1100).to_nal(0x67)


def orders_of(sps: bytes, frame_nums: list[int]) -> list[int]:
    """Return the orders of frames that others lean on; the first of them is an IDR frame."""
    reader = HeaderReader(annex_b(sps, PPS))
    orders = []
    for place, frame_num in enumerate(frame_nums):
        bits = Bits().ue(0, 7, 0).u(FRAME_NUM_BITS, frame_num)
        picture = reader.read(annex_b((bits.ue(0) if place == 0 else bits).u(16, 0).to_nal(0x61 if place else 0x65)))
        assert picture is not None
        orders.append(picture.order)
    return orders


def test_order_follows_from_the_steps_that_are_foreseen_again_and_again() -> None:
    # By hand from ITU-T H.264, 8.2.1.2: 2 and 6 in turns; frame numbers begin anew after 255.
    assert orders_of(make_sps(2, 6), [0, 1, 2, 3, 4]) == [0, 2, 8, 10, 16]
    assert orders_of(make_sps(4), [0, 254, 255, 0, 1]) == [0, 1016, 1020, 1024, 1028]
    assert orders_of(make_sps(), [0, 1, 2]) == [0, 0, 0]


def test_an_order_that_no_frame_can_have_fits_into_32_bits_and_a_sign() -> None:
    assert orders_of(make_sps(*[2**31] * 200), [0, *[255, 0] * 50])[-1] == 2**31


def test_a_frame_that_others_lean_on_has_the_number_behind_the_last_one() -> None:
    reader = HeaderReader(annex_b(SPS_OF_FRAMES, PPS))
    after_gap = []
    # Of an IDR frame; then the next, one aside, the next, the same again, one aside as no coder numbers it, a gap.
    for kind, frame_num in ((0x65, 0), (0x61, 1), (0x01, 2), (0x61, 2), (0x61, 2), (0x01, 2), (0x61, 5)):
        bits = Bits().ue(0, 7, 0).u(FRAME_NUM_BITS, frame_num)
        picture = reader.read(annex_b((bits.ue(0) if kind == 0x65 else bits).u(16, 0).to_nal(kind)))
        assert picture is not None
        after_gap.append(picture.is_after_gap)
    assert after_gap == [False, False, False, False, True, False, True]
