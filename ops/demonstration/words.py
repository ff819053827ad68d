"""The words of the demonstration bank; every person in it is put together by chance from these."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Label:
    """A thing with its key and its names in both languages."""

    key: str
    zh: str
    en: str


# The most frequent surnames first; the generator draws the first ones more often.
SURNAMES = (
    "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗梁宋郑谢韩唐冯于董萧程曹袁邓许傅沈曾彭吕苏卢蒋蔡贾丁魏薛叶阎"
    "余潘杜戴夏钟汪田任姜范方石姚谭廖邹熊金陆郝孔白崔康毛邱秦江史顾侯邵孟龙万段雷钱汤尹黎易常武乔贺赖龚文"
)
FIRST_SYLLABLES = "思子雨梓欣佳嘉宇浩俊文明晓志建国丽秀春海天一若诗语清安景书云静雅芷慧乐奕泽铭睿承彦昕亦远沐"
# A given name has one character or two.
SECOND_SYLLABLES = (
    "",
    *"涵轩怡然宁杰彤瑶琪辰阳航萱妍婷敏强磊军洋勇艳娟涛超霞平刚玲芳燕红鑫博凯琳帆悦晴岚舟川禾蕾薇颖昊",
)

INTERESTS = (
    Label("hiking", "徒步", "Hiking"),
    Label("photography", "摄影", "Photography"),
    Label("parenting", "亲子", "Parents and Children"),
    Label("investing", "理财", "Investing"),
    Label("calligraphy", "书法", "Calligraphy"),
    Label("marathon", "马拉松", "Marathon"),
    Label("tea", "茶艺", "Tea"),
    Label("reading", "读书", "Reading"),
    Label("cycling", "骑行", "Cycling"),
    Label("badminton", "羽毛球", "Badminton"),
    Label("wine", "红酒", "Wine"),
    Label("travel", "旅行", "Travel"),
    Label("pension-life", "乐龄生活", "Senior Life"),
    Label("startup", "创业", "Start-ups"),
    Label("cooking", "烘焙", "Baking"),
    Label("gardening", "园艺", "Gardening"),
    Label("opera", "戏曲", "Chinese Opera"),
    Label("swimming", "游泳", "Swimming"),
    Label("chess", "围棋", "Go and Chess"),
    Label("yoga", "瑜伽", "Yoga"),
    Label("volunteering", "公益", "Volunteering"),
    Label("golf", "高尔夫", "Golf"),
    Label("study-abroad-talk", "留学交流", "Studying Abroad"),
    Label("collecting", "收藏", "Collecting"),
)

LIFE_CYCLE = (
    Label("young-professional", "青年白领", "Young professional"),
    Label("newly-married", "新婚家庭", "Newly married"),
    Label("young-parent", "有孩家庭", "Parent of young children"),
    Label("entrepreneur", "企业家", "Entrepreneur"),
    Label("established", "中年家庭", "Established family"),
    Label("retiree", "退休人士", "Retiree"),
)
NEED = (
    Label("home-purchase", "购房", "Buying a home"),
    Label("study-abroad", "留学", "Study abroad"),
    Label("pension", "养老", "Pension"),
    Label("education-fund", "教育金", "Education fund"),
    Label("car-purchase", "购车", "Buying a car"),
    Label("health-protection", "健康保障", "Health protection"),
    Label("business-loan", "经营贷款", "Business loan"),
    Label("wealth-succession", "财富传承", "Wealth succession"),
)
BEHAVIOUR = (
    Label("prudent-investor", "稳健投资", "Prudent investor"),
    Label("frequent-trader", "高频交易", "Frequent trader"),
    Label("monthly-saver", "定期定投", "Monthly saver"),
    Label("card-spender", "信用卡消费", "Card spender"),
    Label("salary-account", "代发工资", "Salary account"),
    Label("cross-border", "跨境汇款", "Cross-border payments"),
)
CHANNEL = (
    Label("mobile-app", "手机银行", "Mobile app"),
    Label("branch", "网点", "Branch"),
    Label("wechat", "微信", "WeChat"),
    Label("telephone", "电话", "Telephone"),
    Label("video", "视频柜员", "Video teller"),
)

CITIES = (
    Label("shanghai", "上海", "Shanghai"),
    Label("beijing", "北京", "Beijing"),
    Label("shenzhen", "深圳", "Shenzhen"),
    Label("guangzhou", "广州", "Guangzhou"),
    Label("hangzhou", "杭州", "Hangzhou"),
    Label("chengdu", "成都", "Chengdu"),
    Label("suzhou", "苏州", "Suzhou"),
    Label("nanjing", "南京", "Nanjing"),
    Label("wuhan", "武汉", "Wuhan"),
    Label("xian", "西安", "Xi'an"),
    Label("chongqing", "重庆", "Chongqing"),
    Label("tianjin", "天津", "Tianjin"),
    Label("qingdao", "青岛", "Qingdao"),
    Label("xiamen", "厦门", "Xiamen"),
    Label("changsha", "长沙", "Changsha"),
    Label("ningbo", "宁波", "Ningbo"),
    Label("dalian", "大连", "Dalian"),
    Label("kunming", "昆明", "Kunming"),
    Label("hefei", "合肥", "Hefei"),
    Label("fuzhou", "福州", "Fuzhou"),
)
# How a community calls itself: the first for every interest and city before the second for any.
FORMS = (
    Label("club", "俱乐部", "Club"),
    Label("friends", "同好会", "Friends"),
    Label("weekend", "周末社", "Weekend Circle"),
    Label("salon", "沙龙", "Salon"),
    Label("newcomers", "新手营", "Newcomers"),
)

MEETINGS = (
    Label("open-day", "开放日", "Open Day"),
    Label("sharing", "分享会", "Sharing Session"),
    Label("practice", "体验课", "Trial Class"),
    Label("outing", "户外活动", "Outing"),
    Label("contest", "友谊赛", "Friendly Contest"),
    Label("lecture", "专家讲座", "Expert Lecture"),
)
VENUES = ("财富中心三楼会客厅", "总行客户活动室", "滨江公园东门", "市民中心多功能厅", "客户之家茶室", "体育中心二号馆")
