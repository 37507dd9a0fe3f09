"""The markers ``lab`` and ``needs``: the lab of a test, its features, and the settings of its link."""
