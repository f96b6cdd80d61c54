# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # How big must the ring be?
#
# **Question:** packets come at 10 Gbit/s, and now and then the client does not run for a while, because the scheduler
# gave its processor to somebody else. When is a ring of 1 MiB too small, and what does one of 16 MiB buy?

# %%
from IPython.display import Markdown

from wintunsim.experiments import Client, Experiment, plots

# %% [markdown]
# To have delays of a known length, the client here looks into its ring at fixed times only, and empties it each time.
# Packets have 8000 bytes, which keeps this notebook quick: a ring counts bytes.

# %%
link = Experiment(
    workload="constant:rate=10Gbit/s,size=8000",
    client=Client(fine_timer=True, handle_ns=100),
    host="ideal",
    duration="30ms",
    engine="fast",  # with numba; without it the same, more slowly
)
capacities = [1 << 20, 1 << 21, 1 << 22, 1 << 23, 1 << 24]
delays_us = [400, 800, 1600, 3200, 6400, 12800]
found = link.sweep(capacity=capacities, poll_us=delays_us).run()

# %%
ax = plots.against(found, "poll_us", "drop_share", by="capacity")
_ = ax.set_xlabel("how long the client does not run")
_ = ax.set_title("Packets lost at 10 Gbit/s", loc="left")
# %% [markdown]
# Each ring loses nothing up to some delay, and much beyond it. A packet takes its length, rounded up to 4, and 4 more
# bytes; a ring takes up to its capacity less 4. So it is full after *(capacity - 4) ÷ bytes a second*:

# %%
bytes_per_s = 10e9 / 8 * 8004 / 8000
lasts_ms = {capacity: 1000 * (capacity - 4) / bytes_per_s for capacity in capacities}
for row in found.table.itertuples():
    # The client also needs time to empty the ring, and more packets come meanwhile.
    if row.poll_us / 1000 < 0.95 * lasts_ms[row.capacity]:
        assert row.dropped == 0, row
    if row.poll_us / 1000 > 1.05 * lasts_ms[row.capacity]:
        assert row.dropped > 0, row
{f"{capacity >> 20} MiB": f"{ms:.2f} ms" for capacity, ms in lasts_ms.items()}

# %% [markdown]
# ## The same delay, two rings
#
# The client stays away for 3.2 ms. The small ring is full after a quarter of the time, and what comes then is lost.

# %%
away = link.with_values({"poll_us": 3200, "duration": "15ms"})
small = away.with_values({"capacity": 1 << 20}).run(series=True)
large = away.with_values({"capacity": 1 << 24}).run(series=True)
ax = plots.ring_content({"1 MiB": small})

# %%
ax = plots.ring_content({"16 MiB": large})

# %% [markdown]
# ## With packets of 1400 bytes
#
# There is more to do for each byte, but a ring is too small at the same delay (checked here, not plotted).

# %%
ordinary = away.with_values({"workload": "constant:rate=10Gbit/s,size=1400", "duration": "8ms"})
for capacity in (1 << 20, 1 << 22, 1 << 23):
    row = ordinary.with_values({"capacity": capacity}).run().row()
    assert (row["dropped"] > 0) is (lasts_ms[capacity] < 3.2)

# %%
lost = small.dropped_packets / small.offered
assert 0.6 < lost < 0.8
assert large.dropped_packets == 0
Markdown(
    f"**Answer:** at 10 Gbit/s a ring of 1 MiB bears a delay of {lasts_ms[1 << 20]:.2f} ms and one "
    f"of 16 MiB of {lasts_ms[1 << 24]:.1f} ms: a client that stays away for 3.2 ms again and again "
    f"loses {lost:.0%} of its packets with the small ring, and none with the large one."
)

# %% [markdown]
# ## What this does not say
#
# - How long your client may have to stay away: that is up to what else runs on the computer. Measure it there.
# - That a large ring is free. Both rings are locked memory, and a packet that waits 13 ms in a ring is late.
# - Anything about a client that is too slow on average: no ring is large enough for it.
