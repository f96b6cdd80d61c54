"""The Windows face: kernel32, cfgmgr32, setupapi, advapi32, iphlpapi, shell32, wintun.dll over the simulated kernel."""
