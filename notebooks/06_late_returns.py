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
# # Late returns, and what stands behind them
#
# **Question:** the system may keep a received packet for a while. Its bytes stay in the receive ring until it comes
# back, and so do all bytes behind it: `Head` moves past a packet only when that one has come back. How much of the
# ring does that take?

# %%
from IPython.display import Markdown

from wintunsim.experiments import Client, Experiment, plots

# %% [markdown]
# Packets come at 1 Gbit/s, and the client writes them back. Compared are two systems that keep a packet equally long
# on average: one always for the same time, one for anything from nothing to twice that time.

# %%
echo = Experiment(
    workload="constant:rate=1Gbit/s,size=1400",
    client=Client(echo=True),
    host="desktop",
    capacity=1 << 20,
    duration="40ms",
)
means_ms = [1, 2, 3, 4, 5, 6, 8, 10]
same = {f"same {mean}": f"late:delay={mean}ms" for mean in means_ms}
varied = {f"varied {mean}": f"late:delay=0ms,jitter={2 * mean}ms" for mean in means_ms}
found = echo.sweep(returns=same | varied).run(series=True)

# %%
table = found.table
kind = table["returns"].str.split().str
table["kept for"] = kind[0].map({"same": "always as long", "varied": "0 to twice as long"})
table["mean_ns"] = kind[1].astype(int) * 1_000_000
table["echo_drop_share"] = table["echo_dropped"] / (table["echo_dropped"] + table["echo_written"])
ax = plots.against(table, "mean_ns", "echo_drop_share", by="kept for", scale="linear")
_ = ax.set_xlabel("how long the system keeps a packet, on average")
_ = ax.set_ylabel("share of packets that found no space")
# %% [markdown]
# The ring lasts 8.4 ms at this rate. A system that always takes equally long may take that long. One whose packets
# come back between 0 and twice the mean may take half of it: the slowest decides.
#
# ## What is in the ring
#
# Both keep a packet for 3 ms on average, and nothing is lost.

# %%
by_name = dict(zip(table["returns"], found.results, strict=True))
pair = {"always 3 ms": by_name["same 3"], "0 to 6 ms": by_name["varied 3"]}
ax = plots.ring_content(pair, ring="receive")

# %%
most = {name: int(result.series.receive_content.most.max()) for name, result in pair.items()}
assert all(result.echo_dropped == 0 for result in pair.values())
assert most["always 3 ms"] < 0.55 * most["0 to 6 ms"]
lost = {run.returns: run.echo_drop_share for run in table.itertuples()}
assert lost["same 8"] == lost["varied 4"] == 0 < lost["varied 5"]
Markdown(
    f"**Answer:** packets that the system keeps for 3 ms on average take up to "
    f"{most['always 3 ms'] / 1024:.0f} KiB of the ring when each is kept equally long, but "
    f"{most['0 to 6 ms'] / 1024:.0f} KiB when some come back at once and some after 6 ms; so a ring of "
    f"1 MiB bears a mean of 8 ms in one case, and at 5 ms loses {lost['varied 5']:.0%} in the other."
)

# %% [markdown]
# ## What this does not say
#
# - What a system really does. Most packets come back at once; those that a virtual switch, a filter or a slow
#   application keeps come back late, and a single one that never does stops the ring.
# - That order matters to the driver otherwise: it does not. Packets reach the system in the order of the ring in any
#   case.
