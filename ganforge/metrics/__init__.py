from ganforge.metrics.metric import Extractor, Metric, MomentsMetric

__all__ = ["Extractor", "Metric", "MomentsMetric"]
