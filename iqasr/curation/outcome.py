"""What a curation leaves behind: tiles, lists, a table and pictures."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np

from iqasr.analysis.panel import PanelScorer
from iqasr.curation.pictures import COLUMNS, write_histograms, write_sheet
from iqasr.curation.sieve import Sieve, SieveRules, sampling_weights_of
from iqasr.curation.tiles import TileReader
from iqasr.evaluation.evaluate import write_image
from iqasr.runtime.atomic_files import write_csv, write_text_atomically

TILES, LISTING, WEIGHTS, TABLE = 'tiles', 'meta_info.txt', 'weights.csv', 'curation.csv'
HISTOGRAM, STAYING, GOING = 'histogram.png', 'stays.png', 'goes.png'
UNREADABLE = 'unreadable'

Gone: TypeAlias = dict[str, tuple[str, str, str]]
"""Photographs of which no tile is looked at: reason, figures, and the twin of a near-duplicate."""


@dataclass(frozen=True)
class Outcome:
    """What came of every tile and photograph.

    Args:
        target: Folder that receives it.
        rules: What stays.
        reader: Reads the tiles.
        sieve: Which tiles stay, and why the others do not.
        scores: Of all tiles, as published, by scorer.
        gone: Photographs of which no tile was looked at.
    """

    target: Path
    rules: SieveRules
    reader: TileReader
    sieve: Sieve
    scores: Mapping[str, np.ndarray]
    gone: Gone

    def write(self) -> None:
        """Write tiles, lists, table and pictures."""
        sieve = self.sieve
        best_first = sieve.left()
        names = [sieve.names[index] for index in best_first]
        weights = sampling_weights_of(sieve.overall[best_first], self.rules.favour)
        weight_of = {n: f'{w:.6g}' for n, w in zip(names, weights, strict=True)}
        self.write_tiles(names)
        size = f'({self.reader.tile_px},{self.reader.tile_px},3)'
        listing = ''.join(f'{name}.png {size}\n' for name in sorted(names))
        write_text_atomically(listing, self.target / LISTING)
        rows = [{'key': name, 'weight': weight_of[name]} for name in sorted(names)]
        write_csv(('key', 'weight'), rows, self.target / WEIGHTS)
        self.write_table(weight_of)
        stays = np.array([name not in sieve.left_out for name in sieve.names])
        write_histograms(self.target / HISTOGRAM, self.scores, stays, self.rules.limits)
        self.write_sheets(names)

    def write_tiles(self, names: Sequence[str]) -> None:
        """Write the tiles that stay; those of an earlier run that do not are removed."""
        folder, listing = self.target / TILES, self.target / LISTING
        earlier = {f'{name}.png' for name in self.reader.tiles}
        if listing.exists():
            earlier |= {line.split(' ')[0] for line in listing.read_text('utf-8').splitlines()}
        for name in earlier - {f'{name}.png' for name in names}:
            (folder / name).unlink(missing_ok=True)
        for name in sorted(names):
            write_image(folder / f'{name}.png', self.reader.image(name)[..., ::-1])

    def write_table(self, weight_of: Mapping[str, str]) -> None:
        """Write what came of each tile, and of each photograph without tiles."""
        columns = ('photograph', 'tile', *self.scores, 'overall', 'status', 'reason', 'weight')
        rows = [
            {'photograph': self.reader.photographs[name], 'status': reason, 'reason': figures}
            for name, (reason, figures, _) in sorted(self.gone.items())
        ]
        for index, name in enumerate(self.sieve.names):
            status, reason = self.sieve.left_out.get(name, ('stays', ''))
            rows.append(
                {'photograph': self.reader.photographs[self.sieve.photographs[index]], 'tile': name}
                | {word: f'{own[index]:.5g}' for word, own in self.scores.items()}
                | {'overall': f'{self.sieve.overall[index]:.4f}', 'weight': weight_of.get(name, '')}
                | {'status': status, 'reason': reason}
            )
        write_csv(columns, rows, self.target / TABLE)

    def write_sheets(self, names: Sequence[str]) -> None:
        """Show what stays, from the best to the worst, and what goes, by reason."""

        def read(name: str) -> np.ndarray:
            is_tile = name in self.reader.tiles
            return self.reader.image(name) if is_tile else self.reader.photograph(name)

        parts = [p for p in np.array_split(np.array(names, object), COLUMNS) if len(p)]
        overall = dict(zip(self.sieve.names, self.sieve.overall, strict=True))
        columns = {
            f'{overall[part[0]]:.3f} to {overall[part[-1]]:.3f}': list(part) for part in parts
        }
        write_sheet(self.target / STAYING, columns, read)
        reasons: dict[str, list[str]] = {}
        twins = dict(self.sieve.twins)
        for name, (reason, _, twin) in self.gone.items():
            if reason != UNREADABLE:
                reasons.setdefault(f'{reason} (photo)', []).append(name)
                twins |= {name: twin} if twin else {}
        for name, (reason, _) in self.sieve.left_out.items():
            reasons.setdefault(reason, []).append(name)
        columns = {}
        for reason, own in reasons.items():
            columns[f'{reason}: {len(own)}'] = own
            if own[0] in twins:
                columns[f'their twins {len(columns)}'] = [twins[name] for name in own]
        write_sheet(self.target / GOING, columns, read)

    def summary(self) -> str:
        """Say in a line what came out."""
        sieve = self.sieve
        counts = Counter(reason for reason, _ in sieve.left_out.values())
        parts = [f'{count} {reason}' for reason, count in counts.most_common()]
        gone = f': {summary_of(self.gone)}' if self.gone else ''
        photographs = f'{len(self.reader.photographs)} photographs{gone}'
        tiles = f'{len(sieve.names) - len(sieve.left_out)} of {len(sieve.names)} tiles stay'
        return f'{photographs}. {tiles}{": " if parts else ""}{", ".join(parts)}. {self.target}'


def summary_of(gone: Gone) -> str:
    """Count the photographs that go by reason."""
    counts = Counter(reason for reason, *_ in gone.values())
    return ', '.join(f'{count} {reason}' for reason, count in counts.most_common())


def published(scorer: PanelScorer, names: Sequence[str]) -> np.ndarray:
    """Scores of tiles as published."""
    quality = np.array([scorer.quality[name] for name in names])
    return -quality if scorer.lower_better else quality
