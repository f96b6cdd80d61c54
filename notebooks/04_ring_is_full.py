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
# # The ring is full
#
# **Question:** a client writes faster than the driver reads, and finds the receive ring full. Should it drop the
# packet, spin, yield, or sleep until there is space?

# %%
from IPython.display import Markdown

from wintunsim.experiments import Client, Experiment, plots

# %% [markdown]
# A TCP connection with a window of 384 KiB runs through the client, which writes everything back: a closed loop,
# whose sender goes on when packets have come back, and slows down when one is lost. Every 5 ms another 250 packets
# come in a burst. The driver's reader is the bottleneck, and the rings have 512 KiB each.

# %%
DURATION_S = 0.04
connection = Experiment(
    workload=("tcp:window=384KiB,size=1400,rtt=100us", "trains:burst=250,every=5ms,size=1400"),
    host="desktop",
    capacity=1 << 19,
    duration="40ms",
    engine="fast",  # with numba; without it the same takes minutes
)
common = {"echo": True, "handle_ns": 100, "spin_us": 12.5}
clients = {
    "drop": Client(full="drop", **common),
    "spin": Client(full="spin", full_us=100, **common),
    "yield": Client(full="yield", full_attempts=1_000_000, **common),
    "sleep 100 µs": Client(full="sleep", full_us=100, **common),
    "sleep 100 µs,\nfine timer": Client(full="sleep", full_us=100, fine_timer=True, **common),
}
found = connection.sweep(client=clients, seeds=range(3)).run()
table = found.table
table["returned_bps"] = table["echo_received"] * 1400 * 8 / DURATION_S
table.groupby("client", sort=False)[
    ["offered", "dropped", "echo_dropped", "echo_received", "client_busy"]
].mean().round(2)

# %%
ax = plots.against(table, "client", "returned_bps")
_ = ax.set_xlabel("when the receive ring is full")
_ = ax.set_ylabel("came back through the client")
# %% [markdown]
# Bars are 95 % confidence intervals over three seeds.
#
# ## The sleep of 100 µs that becomes 15 ms
#
# `Sleep` ends on a tick of the system timer, every 15.6 ms, unless the client has asked for a high-resolution timer.
# The driver empties the ring in 0.5 ms, and then nothing moves until the tick: the sender waits for its packets, and
# bursts overflow the send ring, which nobody empties.

# %%
coarse = connection.with_values({"client": clients["sleep 100 µs"]}).run(series=True)
ax = plots.ring_content({"sleep 100 µs": coarse}, ring="receive")

# %%
ax = plots.ring_content({"sleep 100 µs": coarse}, ring="send")

# %%
mean = table.groupby("client")[["returned_bps", "echo_dropped", "dropped"]].mean()
drop, spin, sleep, fine = (mean.loc[name] for name in ("drop", "spin", "sleep 100 µs", "sleep 100 µs,\nfine timer"))
assert spin.echo_dropped == fine.echo_dropped == 0 < drop.echo_dropped
assert sleep.returned_bps < 0.85 * spin.returned_bps
assert abs(fine.returned_bps / spin.returned_bps - 1) < 0.01
assert abs(drop.returned_bps / spin.returned_bps - 1) < 0.02
Markdown(
    f"**Answer:** a client that sleeps 100 µs on a full ring brings {sleep.returned_bps / 1e9:.1f} Gbit/s "
    f"back, because it sleeps until the next tick; with a fine timer it brings {fine.returned_bps / 1e9:.1f}, "
    f"as much as one that spins, and one that drops loses {drop.echo_dropped:.0f} packets and hardly any "
    f"throughput."
)

# %% [markdown]
# ## What this does not say
#
# - What a drop costs in life: here the round trip takes well below a millisecond, so a loss is soon repaired. Over a
#   long way it costs more. Drops of the bursts' packets are never repaired.
# - What happens when window and burst are larger than both rings together: then packets are lost in the send ring,
#   whatever the client does with a full receive ring.
# - What a spinning client costs others: its processor was free here, and `yield` has nobody to yield to.
