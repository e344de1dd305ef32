"""One ceremony on one machine: every party a process of its own, started and watched from here."""
