"""Pages of firmware updates: releases, rollouts, and what people do to them."""
