"""The Windows face: kernel32, cfgmgr32, iphlpapi, shell32 and wintun.dll over the simulated kernel."""
