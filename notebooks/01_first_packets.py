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
# # First packets
#
# **Question:** what happens to a packet on its way to a client and back, and how long does it take?
#
# A Wintun adapter has two rings in the client's memory. The driver puts packets for the client into the *send ring*
# and sets an event; the client takes them out, and writes its own packets into the *receive ring*, from which a
# thread of the driver hands them to the system.

# %%
from IPython.display import Markdown

from wintunsim.experiments import Client, Experiment, plots

# %% [markdown]
# ## An experiment
#
# An experiment is data: who sends what, what the client does, which computer it runs on, for how long. Here the
# system sends a ping each millisecond, and the client writes back whatever it gets.

# %%
echo = Client(echo=True)
pings = Experiment(workload="ping:count=50,interval=1ms", client=echo, host="desktop", duration="60ms")
result = pings.run(window_ns=(10_100_000, 10_150_000))
{name: result.row()[name] for name in ("offered", "delivered", "echo_received", "latency_p50_ns")}

# %% [markdown]
# These are some of the numbers of `row()`; times are virtual, in ns. The same experiment always comes to the same
# result, on every computer: the digest of all that happened is equal.

# %%
assert pings.run().digest == result.digest
result.digest

# %% [markdown]
# ## One packet, step by step
#
# The window above caught the eleventh ping. The driver sets `TailMoved` (arrow), and the client wakes up. It takes the
# packet, and writes it back. With `Alertable` a reader of a ring says that it is about to wait: only then the client
# sets the event that wakes the driver's reader. The driver sets the client's event in any case.

# %%
ax = plots.timeline(result)

# %% [markdown]
# ## Alone, or in a stream
#
# A processor that has nothing to do goes to sleep, and takes a while to wake up. With a packet every 10 µs it does
# not come to that.

# %%
stream = Experiment(workload="constant:rate=100000,size=1400", client=echo, host="desktop", duration="30ms").run()
ax = plots.latency({"a ping each ms": result, "a packet each 10 µs": stream})

# %%
alone_us, busy_us = (one.row()["latency_p50_ns"] / 1000 for one in (result, stream))
assert result.delivered == result.offered == 50
assert alone_us > 1.2 * busy_us
Markdown(
    f"**Answer:** a packet that comes alone waits {alone_us:.1f} µs in the send ring (median), "
    f"nearly all of it for the client to wake up; in a stream of 100 000 a second it waits "
    f"{busy_us:.1f} µs."
)

# %% [markdown]
# ## What this does not say
#
# How long *your* computer takes to wake a thread: the profile `desktop` has figures for a common one, each with its
# source. And nothing about what the client does with a packet: here it takes 0.5 µs.
