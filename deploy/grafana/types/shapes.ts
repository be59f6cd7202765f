// The types that the dashboards must match: Grafana's own, and those of the panel plugins in use.
import type { Dashboard, DataQuery, Panel, RowPanel } from '@grafana/schema';
import type * as heatmap from './node_modules/@grafana/schema/dist/esm/raw/composable/heatmap/panelcfg/x/HeatmapPanelCfg_types.gen';
import type * as stat from './node_modules/@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen';
import type * as table from './node_modules/@grafana/schema/dist/esm/raw/composable/table/panelcfg/x/TablePanelCfg_types.gen';
import type * as text from './node_modules/@grafana/schema/dist/esm/raw/composable/text/panelcfg/x/TextPanelCfg_types.gen';
import type * as timeseries from './node_modules/@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen';

// In JSON, an enum member is its value.
type Plain<T> = T extends string ? `${T}` : T extends object ? { [K in keyof T]: Plain<T[K]> } : T;

interface PrometheusQuery extends DataQuery {
  expr: string;
  legendFormat: string;
  instant?: boolean;
  range?: boolean;
  format?: 'time_series' | 'table' | 'heatmap';
  exemplar?: boolean;
}

interface QueryPanel<Options, Custom = Record<string, unknown>> extends Omit<Panel<Record<string, unknown>, Custom>, 'options' | 'targets' | 'type'> {
  options: Options;
  targets: PrometheusQuery[];
}

type AnyPanel =
  | Plain<Omit<RowPanel, 'type'>> & { type: 'row' }
  | Plain<QueryPanel<timeseries.Options, timeseries.FieldConfig>> & { type: 'timeseries' }
  | Plain<QueryPanel<Partial<stat.Options>>> & { type: 'stat' }
  | Plain<QueryPanel<Partial<heatmap.Options>, heatmap.FieldConfig>> & { type: 'heatmap' }
  | Plain<QueryPanel<Partial<table.Options>>> & { type: 'table' }
  | Plain<Omit<Panel, 'options' | 'type'>> & { type: 'text'; options: Plain<text.Options> };

export type Board = Plain<Omit<Dashboard, 'panels'>> & { panels: AnyPanel[] };
