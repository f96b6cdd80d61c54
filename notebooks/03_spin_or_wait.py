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
# # Spin or wait?
#
# **Question:** a client that finds its ring empty may wait for the event at once, or first spin: look again and again
# for a while. What does it gain, and what does it pay? Compared are 0, 12.5 µs, 100 µs and 15 ms of spinning.

# %%
from IPython.display import Markdown
from matplotlib import pyplot as plt

from wintunsim.experiments import Client, Experiment, plots

# %% [markdown]
# Packets come at random (a Poisson process), on a quiet desktop with four processors.

# %%
quiet = Experiment(client=Client(), host="desktop", duration="50ms", engine="fast")
rates = {f"{rate} Mbit/s": f"poisson:rate={rate}Mbit/s,size=1400" for rate in (100, 300, 1000)}
spins_us = [0, 12.5, 100, 15_000]
found = quiet.sweep(workload=rates, spin_us=spins_us, seeds=range(4)).run(series=True)

# %%
_, (left, right) = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
plots.against(found, "spin_us", "client_busy", by="workload", ax=left)
left.get_legend().remove()
ax = plots.against(found, "spin_us", "latency_p99_ns", by="workload", ax=right)

# %% [markdown]
# Bands are 95 % confidence intervals over four seeds. At 100 Mbit/s packets come every 112 µs on average: 12.5 µs of
# spinning are mostly in vain, and even 100 µs often are. At 1 Gbit/s they come every 11 µs, and 100 µs of spinning
# hardly ever end without one.
#
# ## All percentiles at 1 Gbit/s
#
# The curves of 100 µs and 15 ms are one: the client never comes to wait.

# %%
names = {0: "waits at once", 12.5: "spins 12.5 µs", 100: "spins 100 µs", 15_000: "spins 15 ms"}
by_spin = {name: [] for name in names.values()}
for run, result in zip(found.table.itertuples(), found.results, strict=True):
    if run.workload == "1000 Mbit/s":
        by_spin[names[run.spin_us]].append(result)
ax = plots.latency(by_spin)

# %%
mean = found.table.groupby(["workload", "spin_us"])[["client_busy", "latency_p99_ns"]].mean()
waits, short, spins, ever = (mean.loc[("1000 Mbit/s", spin_us)] for spin_us in spins_us)
assert waits.client_busy < 0.25 and spins.client_busy > 0.99
assert spins.latency_p99_ns < waits.latency_p99_ns / 5
assert abs(ever.latency_p99_ns / spins.latency_p99_ns - 1) < 0.05
slow_waits, slow_short = mean.loc[("100 Mbit/s", 0)], mean.loc[("100 Mbit/s", 12.5)]
assert slow_short.client_busy > 2 * slow_waits.client_busy
assert slow_short.latency_p99_ns > 0.8 * slow_waits.latency_p99_ns
Markdown(
    f"**Answer:** at 1 Gbit/s 100 µs of spinning bring the 99 % latency from "
    f"{waits.latency_p99_ns / 1000:.0f} µs down to {spins.latency_p99_ns / 1000:.1f} µs, for "
    f"{spins.client_busy:.0%} of a processor instead of {waits.client_busy:.0%}; 12.5 µs cost "
    f"{short.client_busy:.0%} and leave it at {short.latency_p99_ns / 1000:.0f} µs, and 15 ms gain "
    f"nothing over 100 µs."
)

# %% [markdown]
# ## The client spins twice
#
# For each chain of packets the driver sets the event of the send ring, whatever `Alertable` says. So after a packet
# that was found by spinning the event is still set: the next wait ends at once, and the client spins once more. With
# packets every 20 µs a client that spins for 12.5 µs never sleeps.

# %%
steady = quiet.with_values({"workload": "constant:rate=50000,size=1400", "spin_us": 12.5, "duration": "20ms"})
row = steady.run().row()
assert row["wakeups"] > 0.9 * row["delivered"] and row["client_busy"] > 0.99
row["wakeups"], row["delivered"], row["latency_p99_ns"]

# %%
ax = plots.timeline(steady.run(window_ns=(10_000_000, 10_050_000)))

# %% [markdown]
# ## What this does not say
#
# - What spinning costs others. The processors were free here. On a busy computer the client takes them from other
#   programs, and since it never waits, it loses the boost that a thread has after a wait.
# - What it costs in heat, or on a battery.
