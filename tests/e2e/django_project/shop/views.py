import logging

from django.http import HttpResponse, JsonResponse

from shop.models import Order

_log = logging.getLogger(__name__)


def index(request):
    _log.info("index")
    return HttpResponse("the shop")


def total(request):
    return JsonResponse({
        "total": sum(order.total() for order
                     in Order.objects.select_related("product")),
    })
